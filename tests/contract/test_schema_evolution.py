"""A change that breaks what was published fails here and says what broke; every version ever stays readable."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator

from polylogue.schemas.base import Payload
from polylogue.schemas.compatibility import PROMISES, Promise, all_breaks, breaks
from polylogue.schemas.json_schema import GENERATED, MESSAGES
from polylogue.schemas.upcasters import UPCASTERS
from tests.contract.publish_schemas import PUBLISHED, publish, stored
from tests.contract.upcasting import EXAMPLES, faults

STORED = Promise(read_back=True, read_outside=False)
SENT = Promise(read_back=False, read_outside=True)


class Size(msgspec.Struct):
    width: int


class Drawing(msgspec.Struct, omit_defaults=True):
    """What the cases below change, one thing each."""

    title: str
    mood: Literal["calm", "wild"]
    size: Size
    note: str | None = None
    tags: tuple[str, ...] = ()
    price: float | None = None
    scores: dict[str, int] = msgspec.field(default_factory=dict)
    round: int = 1


def changed(**fields: Any) -> type[msgspec.Struct]:
    """Drawing with other fields: a type, or a type and a default; None takes the field away."""
    kept = {
        field.name: (field.type, field)
        for field in msgspec.structs.fields(Drawing)
        if field.name not in fields
    }
    plain: list[Any] = []
    for name, (kind, field) in kept.items():
        if field.default_factory is not msgspec.NODEFAULT:
            plain.append((name, kind, msgspec.field(default_factory=field.default_factory)))
        else:
            plain.append((name, kind) if field.required else (name, kind, field.default))
    plain += [(name, *given) for name, given in fields.items() if given is not None]
    return msgspec.defstruct("Drawing", plain, kw_only=True)


def schema(model: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema(model)


class Tree(msgspec.Struct):
    name: str
    children: list[Tree] = []


class WiderSize(msgspec.Struct):
    width: int | None
    depth: int | None = None


class TallSize(msgspec.Struct):
    width: int
    height: int


ADDITIONS = {
    "an optional field": changed(colour=(str | None, None)),
    "a value of an enumeration": changed(mood=(Literal["calm", "wild", "grim"],)),
    "null where there was none": changed(title=(str | None,)),
    "an optional field that is nested": changed(size=(WiderSize,)),
    "a default for what was required": changed(title=(str, "")),
    "numbers where there were whole ones": changed(round=(float, 1)),
    "any text where there was a choice": changed(mood=(str,)),
}
BREAKS = {
    "note was removed": changed(note=None),
    "colour is new and required": changed(colour=(str,)),
    "note has become required": changed(note=(str | None,)),
    "size.height is new and required": changed(size=(TallSize,)),
    "title has changed from string to integer": changed(title=(int,)),
    "note no longer takes null": changed(note=(str, "")),
    "mood no longer knows wild": changed(mood=(Literal["calm"],)),
    "title could be any string and is now one of Untitled": changed(title=(Literal["Untitled"],)),
    "each of tags has changed from string to integer": changed(tags=(tuple[int, ...], ())),
    "each of scores has changed from integer to string": changed(
        scores=(dict[str, str], msgspec.field(default_factory=dict))
    ),
    "price has changed from number, null to string": changed(price=(str, "")),
    "round has another default, 2, and 1 was left out of what is stored": changed(round=(int, 2)),
}
BREAKS_OUTSIDE = {
    "note was removed": changed(note=None),
    "title may now be absent": changed(title=(str, "")),
    "title may now be null, which no reader expects": changed(title=(str | None,)),
    "title has changed from string to integer": changed(title=(int,)),
}


def test_every_kind_of_message_is_promised_to_somebody() -> None:
    assert set(PROMISES) == {*MESSAGES, "frame"}


def test_nothing_that_was_published_is_broken() -> None:
    published, present = stored(PUBLISHED), stored(GENERATED)
    assert len(published) > 50
    assert all_breaks(dict(published), dict(present)) == []


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_breaks_nothing_that_is_stored(name: str) -> None:
    assert breaks(schema(Drawing), schema(ADDITIONS[name]), STORED) == []


@pytest.mark.parametrize("sentence", BREAKS)
def test_a_breaking_change_is_named(sentence: str) -> None:
    assert sentence in breaks(schema(Drawing), schema(BREAKS[sentence]), STORED)


@pytest.mark.parametrize("sentence", BREAKS_OUTSIDE)
def test_what_readers_outside_would_trip_over_is_named(sentence: str) -> None:
    assert sentence in breaks(schema(Drawing), schema(BREAKS_OUTSIDE[sentence]), SENT)


def test_a_new_required_field_is_no_loss_to_readers_outside() -> None:
    assert breaks(schema(Drawing), schema(changed(colour=(str,))), SENT) == []


def test_tightened_limits_are_named_and_loosened_ones_are_not() -> None:
    def limited(**limits: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"n": {"type": "integer", **limits}}}

    assert breaks(limited(), limited(minimum=1), STORED) == ["n is narrower: minimum is 1"]
    assert breaks(limited(maximum=9), limited(maximum=5), STORED) == ["n is narrower: maximum is 5 and was 9"]
    assert breaks(limited(maximum=9), limited(maximum=10), STORED) == []
    assert breaks(limited(minimum=1), limited(), STORED) == []


def test_a_definition_that_names_itself_is_compared_once() -> None:
    assert breaks(schema(Tree), schema(Tree), STORED) == []


def test_a_removed_type_and_a_changed_earlier_version_are_named() -> None:
    old, new = Path("event/Drawn.v1.json"), Path("event/Drawn.v2.json")
    before = schema(Drawing)
    assert all_breaks({old: before}, {}) == ["event Drawn v1 was removed: records, or readers, of it remain"]
    assert all_breaks({old: before}, {old: before, new: schema(Size)}) == []
    described = before | {"description": "Better words."}
    assert all_breaks({old: before}, {old: described, new: schema(Size)}) == []
    assert all_breaks({old: before}, {old: schema(Size), new: schema(Size)}) == [
        "event Drawn v1 was changed: an earlier version stays as it was published"
    ]


@pytest.mark.parametrize("path", sorted(stored(PUBLISHED)), ids=str)
def test_every_published_schema_would_be_missed(path: Path) -> None:
    """Each one is really compared: without a field that it has, or without it, there is a sentence."""
    before = stored(PUBLISHED)[path]
    without = deepcopy(before)
    name = min(without["properties"])
    del without["properties"][name]
    assert f"{name} was removed" in breaks(before, without, PROMISES[path.parts[0]])


def test_publishing_takes_additions_and_refuses_what_breaks(tmp_path: Path) -> None:
    published, generated = tmp_path / "published", tmp_path / "generated"
    file = generated / "event" / "Drawn.v1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(schema(Drawing)))
    assert publish(published, generated) == []
    file.write_text(json.dumps(schema(changed(colour=(str | None, None)))))
    assert publish(published, generated) == []
    file.write_text(json.dumps(schema(Drawing)))
    assert publish(published, generated) == ["event Drawn v1: colour was removed"]
    (left,) = stored(published).values()
    assert "colour" in left["$defs"]["Drawing"]["properties"]


def test_examples_of_every_earlier_version_come_up_to_the_present_one() -> None:
    for _, payloads in MESSAGES.values():
        assert faults(payloads, UPCASTERS, EXAMPLES, GENERATED) == []


class Sung(Payload, frozen=True, kw_only=True):
    VERSION = 3
    words: tuple[str, ...]
    loud: bool = False


def split(data: dict[str, Any]) -> dict[str, Any]:
    return {"words": data["text"].split()}


def loudness(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "loud": False}


def mutating(data: dict[str, Any]) -> dict[str, Any]:
    data["words"] = data.pop("text").split()
    return data


GOOD = {("Sung", 1): split, ("Sung", 2): loudness}


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, Path]:
    """Examples and frozen schemas of a type that is in its third version."""
    examples, frozen = tmp_path / "examples", tmp_path / "generated"
    shapes: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {
        1: ({"text": "la la"}, {"text": {"type": "string"}}),
        2: ({"words": ["la"]}, {"words": {"type": "array"}}),
        3: ({"words": ["la"], "loud": True}, {"words": {"type": "array"}, "loud": {"type": "boolean"}}),
    }
    for version, (data, properties) in shapes.items():
        file = examples / "Sung" / str(version) / "plain.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"type": "Sung", "version": version, "data": data}))
        schema_file = frozen / "event" / f"Sung.v{version}.json"
        schema_file.parent.mkdir(parents=True, exist_ok=True)
        required = sorted(properties)
        payload = {"type": "object", "properties": properties, "required": required}
        schema_file.write_text(json.dumps({"type": "object", "properties": {"data": payload}}))
        Draft202012Validator.check_schema(payload)
    return examples, frozen


def test_steps_that_are_pure_and_fit_pass(history: tuple[Path, Path]) -> None:
    assert faults({"Sung": Sung}, GOOD, *history) == []


@pytest.mark.parametrize(
    ("upcasters", "fault"),
    [
        pytest.param({("Sung", 2): loudness}, "Sung v1 has no upcaster", id="a step is missing"),
        pytest.param(
            GOOD | {("Sung", 1): mutating},
            "Sung v1, plain.json: the upcaster changes what it is given",
            id="a step changes its argument",
        ),
        pytest.param(
            GOOD | {("Sung", 1): lambda data: {"verses": [data["text"]]}},
            "Sung v1, plain.json: what the upcaster makes does not fit v2: 'words' is a required property",
            id="a step makes something else",
        ),
        pytest.param(
            GOOD | {("Sung", 1): lambda data: {"words": [data["lyrics"]]}},
            "Sung v1, plain.json: the upcaster fails with KeyError",
            id="a step expects something else",
        ),
        pytest.param(
            GOOD | {("Sung", 4): loudness}, "Sung v4 has an upcaster and no successor", id="a step too many"
        ),
    ],
)
def test_a_bad_step_is_found(
    history: tuple[Path, Path], upcasters: dict[tuple[str, int], Any], fault: str
) -> None:
    assert fault in faults({"Sung": Sung}, upcasters, *history)


def test_an_earlier_version_without_an_example_is_found(history: tuple[Path, Path]) -> None:
    (history[0] / "Sung" / "2" / "plain.json").unlink()
    assert faults({"Sung": Sung}, GOOD, *history) == ["Sung v2 has no example"]
