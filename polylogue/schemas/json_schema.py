"""Writes the checked-in JSON Schema of every message and frame: `python -m polylogue.schemas.json_schema`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from polylogue.schemas.base import Payload
from polylogue.schemas.claims import REQUESTS
from polylogue.schemas.commands import COMMANDS
from polylogue.schemas.controls import CONTROLS
from polylogue.schemas.envelope import Command, Control, Event, Request, UsageEvent
from polylogue.schemas.events import EVENTS
from polylogue.schemas.frames import FRAME_TYPES
from polylogue.schemas.usage import USAGE

DIALECT = "https://json-schema.org/draft/2020-12/schema"
GENERATED = Path(__file__).parent / "generated"

MESSAGES: Mapping[str, tuple[type[msgspec.Struct], Mapping[str, type[Payload]]]] = {
    "event": (Event, EVENTS),
    "command": (Command, COMMANDS),
    "request": (Request, REQUESTS),
    "usage": (UsageEvent, USAGE),
    "control": (Control, CONTROLS),
}
"""Kind of message → its envelope and its payloads by type."""


def schema_path(kind: str, name: str, version: int | None = None) -> Path:
    """Where the schema of a type lies below `generated/`; frames have no version."""
    return Path(kind) / (f"{name}.json" if version is None else f"{name}.v{version}.json")


def schemas() -> dict[Path, dict[str, Any]]:
    """The schemas of the present versions by their path below `generated/`."""
    return {
        **{
            schema_path(kind, name, payload.VERSION): _message_schema(kind, envelope, payload)
            for kind, (envelope, payloads) in MESSAGES.items()
            for name, payload in payloads.items()
        },
        **{
            schema_path("frame", name): _named(f"urn:polylogue:frame:{name}", *_components(frame))
            for name, frame in FRAME_TYPES.items()
        },
    }


def rendered(schema: Mapping[str, Any]) -> str:
    """The text of a schema file; equal schemas give equal text."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(folder: Path = GENERATED) -> list[str]:
    """One line for each file that is missing, stale or an orphan. Schemas of earlier versions are kept as they are."""
    wanted = schemas()
    findings = []
    for path, schema in wanted.items():
        file = folder / path
        if not file.is_file():
            findings.append(f"{path} is missing")
        elif file.read_text(encoding="utf-8") != rendered(schema):
            findings.append(f"{path} is stale")
    findings += [f"{path} is an orphan" for path in _files(folder) if path not in wanted | _earlier()]
    return sorted(findings)


def write(folder: Path = GENERATED) -> None:
    """Brings `folder` up to date; orphans are removed."""
    wanted = schemas()
    for path, schema in wanted.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rendered(schema), encoding="utf-8")
    for path in _files(folder):
        if path not in wanted | _earlier():
            (folder / path).unlink()


def _files(folder: Path) -> list[Path]:
    return sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())


def _earlier() -> dict[Path, None]:
    """The paths of versions that have an upcaster: written once, never generated again."""
    return {
        schema_path(kind, name, version): None
        for kind, (_, payloads) in MESSAGES.items()
        for name, payload in payloads.items()
        for version in range(1, payload.VERSION)
    }


def _message_schema(kind: str, envelope: type[msgspec.Struct], payload: type[Payload]) -> dict[str, Any]:
    """The whole message on the wire: the envelope with constant `type` and `version` and this payload as `data`."""
    name, version = payload.__name__, payload.VERSION
    envelope_schema, definitions = _components(envelope)
    payload_reference, payload_definitions = _components(payload, inline=False)
    definitions = {key: value for key, value in definitions.items() if key != Payload.__name__}
    properties = envelope_schema["properties"] | {
        "type": {"const": name},
        "version": {"const": version},
        "data": payload_reference,
    }
    message = envelope_schema | {
        "title": name,
        "properties": properties,
        "required": [*envelope_schema["required"], "type", "version"],
    }
    return _named(f"urn:polylogue:{kind}:{name}:{version}", message, definitions | payload_definitions)


def _components(
    model: type[msgspec.Struct], *, inline: bool = True
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The schema of `model` and the definitions that it refers to."""
    (reference,), found = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    definitions = {key: dict(_tidied(value)) for key, value in found.items()}
    return (definitions.pop(model.__name__) if inline else reference), definitions


def _named(
    name: str, schema: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {"$schema": DIALECT, "$id": name, **schema, **({"$defs": definitions} if definitions else {})}


def _tidied(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Descriptions without the indentation of their docstrings."""
    for key, item in value.items():
        yield key, inspect.cleandoc(item) if key == "description" else item


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{len(schemas())} schemas are in {GENERATED}\n")
