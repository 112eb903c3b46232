"""Every event, command, claim, usage event and frame has named examples, and every example means what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

import polylogue.schemas
from polylogue.schemas.codec import command_codec, control_codec, event_codec, request_codec, usage_codec
from polylogue.schemas.envelope import Command, Control, Event, Request, UsageEvent
from polylogue.schemas.frames import FRAME_TYPES, decode_frame, encode_frame
from polylogue.schemas.json_schema import GENERATED, MESSAGES, schema_path

EXAMPLES = Path(polylogue.schemas.__file__).parent / "examples"
FRAMES = "frames"
CODECS = {
    "event": event_codec,
    "command": command_codec,
    "request": request_codec,
    "usage": usage_codec,
    "control": control_codec,
}
KIND_OF = {name: kind for kind, (_, payloads) in MESSAGES.items() for name in payloads}

MESSAGE_EXAMPLES = sorted(file for file in EXAMPLES.glob("*/*/*.json") if file.parts[-3] != FRAMES)
FRAME_EXAMPLES = sorted((EXAMPLES / FRAMES).glob("*/*.json"))


def name_of(file: Path) -> str:
    return str(file.relative_to(EXAMPLES).with_suffix(""))


def validator(path: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads((GENERATED / path).read_text(encoding="utf-8")))


def load(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def test_every_version_of_every_message_has_an_example_and_no_example_is_an_orphan() -> None:
    wanted = {
        (name, str(version))
        for _, payloads in MESSAGES.values()
        for name, payload in payloads.items()
        for version in range(1, payload.VERSION + 1)
    }
    assert {(file.parts[-3], file.parts[-2]) for file in MESSAGE_EXAMPLES} == wanted


def test_every_frame_has_an_example_and_no_example_is_an_orphan() -> None:
    assert {file.parts[-2] for file in FRAME_EXAMPLES} == set(FRAME_TYPES)


def test_nothing_else_lies_among_the_examples() -> None:
    files = {file for file in EXAMPLES.rglob("*") if file.is_file()}
    assert files == {*MESSAGE_EXAMPLES, *FRAME_EXAMPLES}


@pytest.mark.parametrize("file", MESSAGE_EXAMPLES, ids=name_of)
def test_a_message_decodes_fits_its_schema_and_encodes_to_the_same(file: Path) -> None:
    message, name, version = load(file), file.parts[-3], int(file.parts[-2])
    kind = KIND_OF[name]
    codec = CODECS[kind]
    assert (message["type"], message["version"]) == (name, version)
    validator(schema_path(kind, name, version)).validate(message)
    decoded = codec.decode(file.read_bytes())
    assert isinstance(decoded, (Event, Command, Request, UsageEvent, Control)), decoded
    again = json.loads(codec.encode(decoded))
    if version == type(decoded.data).VERSION:
        assert again == message
    else:
        assert again["version"] == type(decoded.data).VERSION


@pytest.mark.parametrize("file", FRAME_EXAMPLES, ids=name_of)
def test_a_frame_decodes_fits_its_schema_and_encodes_to_the_same(file: Path) -> None:
    frame = load(file)
    assert frame["type"] == file.parts[-2]
    validator(schema_path("frame", frame["type"])).validate(frame)
    decoded = decode_frame(file.read_bytes())
    assert decoded is not None
    encoded = encode_frame(decoded)
    assert json.loads(encoded) == frame
    assert b"\n" not in encoded


@pytest.mark.parametrize("file", MESSAGE_EXAMPLES, ids=name_of)
def test_schema_and_codec_refuse_a_message_that_lacks_what_is_required(file: Path) -> None:
    name, version = file.parts[-3], int(file.parts[-2])
    kind = KIND_OF[name]
    schema = validator(schema_path(kind, name, version))
    for field in schema.schema["required"]:
        incomplete = {key: value for key, value in load(file).items() if key != field}
        with pytest.raises(ValidationError):
            schema.validate(incomplete)
        decoded = CODECS[kind].decode(json.dumps(incomplete).encode())
        assert not isinstance(decoded, (Event, Command, Request, UsageEvent, Control))


@pytest.mark.parametrize("file", [*MESSAGE_EXAMPLES, *FRAME_EXAMPLES], ids=name_of)
def test_optional_fields_appear_in_some_example(file: Path) -> None:
    """What no example shows, no consumer of the examples is tested with."""
    model = (
        FRAME_TYPES[file.parts[-2]]
        if file in FRAME_EXAMPLES
        else MESSAGES[KIND_OF[file.parts[-3]]][1][file.parts[-3]]
    )
    fields = {field.encode_name for field in msgspec.structs.fields(model)}
    shown: set[str] = set()
    for sibling in file.parent.glob("*.json"):
        message = load(sibling)
        shown |= set(message if file in FRAME_EXAMPLES else message["data"])
    assert fields <= shown
