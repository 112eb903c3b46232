"""Every sequence of bytes has a defined result in the codec; what was encoded comes back equal."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.schemas.base import Payload, registry
from polylogue.schemas.clock import parse_rfc3339_ms, rfc3339
from polylogue.schemas.codec import (
    Codec,
    Garbage,
    NewerVersion,
    UnknownType,
    command_codec,
    event_codec,
    request_codec,
    usage_codec,
)
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import TextAppended

CODECS = [event_codec, command_codec, request_codec, usage_codec]
RESULTS = (UnknownType, NewerVersion, Garbage)
ENVELOPE = {
    "event_id": "r-1.1.1",
    "conversation_id": "c",
    "owner_id": "local",
    "occurred_at": "2026-11-03T09:30:00.250Z",
    "type": "TextAppended",
    "version": 1,
    "data": {"text": "x"},
}


def raw(**changes: Any) -> bytes:
    return json.dumps(ENVELOPE | changes).encode()


def test_a_known_message_is_decoded_with_its_typed_payload() -> None:
    event = event_codec.decode(raw(attempt=1, sequence=2))
    assert isinstance(event, Event)
    assert event.data == TextAppended(text="x")
    assert (event.attempt, event.sequence, event.command_offset) == (1, 2, None)


def test_unknown_fields_are_ignored_so_that_fields_can_be_added() -> None:
    event = event_codec.decode(raw(data={"text": "x", "tone": "calm"}, region="eu"))
    assert isinstance(event, Event)
    assert event.data == TextAppended(text="x")


def test_an_unknown_type_is_returned_with_its_envelope() -> None:
    found = event_codec.decode(raw(type="TextSung"))
    assert isinstance(found, UnknownType)
    assert found.type == "TextSung"
    assert found.envelope["conversation_id"] == "c"


def test_a_command_is_no_event() -> None:
    assert isinstance(event_codec.decode(raw(type="StartTurn")), UnknownType)


def test_a_newer_version_is_returned_with_its_number() -> None:
    found = event_codec.decode(raw(version=2, data={"pieces": ["x"]}))
    assert isinstance(found, NewerVersion)
    assert (found.type, found.version) == ("TextAppended", 2)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null value"),
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="not JSON"),
        pytest.param(b"\xff\xfe{}", id="invalid UTF-8"),
        pytest.param(b'{"type":"\xc3\x28"}', id="invalid UTF-8 in a string"),
        pytest.param(b'{"type":"\\ud800"}', id="lone surrogate"),
        pytest.param(b"null", id="JSON null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"TextAppended"', id="string"),
        pytest.param(b"1e999", id="infinite number"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b"[" * 100_000, id="nested lists, open"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nested lists, closed"),
        pytest.param(b'{"data":' * 100_000 + b"1" + b"}" * 100_000, id="nested objects"),
        pytest.param(raw() + raw(), id="two messages"),
        pytest.param(raw(type=None), id="no type"),
        pytest.param(raw(type=7), id="type a number"),
        pytest.param(raw(version=None), id="no version"),
        pytest.param(raw(version="1"), id="version a string"),
        pytest.param(raw(version=True), id="version a boolean"),
        pytest.param(raw(version=1.0), id="version a float"),
        pytest.param(raw(version=0), id="version zero"),
        pytest.param(raw(version=-1), id="version below zero"),
        pytest.param(raw(version=10**30), id="version huge"),
        pytest.param(raw(data=None), id="no data"),
        pytest.param(raw(data=[]), id="data a list"),
        pytest.param(raw(data={}), id="payload field missing"),
        pytest.param(raw(data={"text": 1}), id="payload field of a wrong type"),
        pytest.param(raw(event_id=None), id="envelope field null"),
        pytest.param(raw(attempt="1"), id="envelope field of a wrong type"),
        pytest.param(raw(sequence=10**30), id="huge integer in the envelope"),
        pytest.param(raw(type="ResponseQueued", data={"position": 10**30}), id="huge integer in the payload"),
        pytest.param(raw(occurred_at="yesterday"), id="no time"),
        pytest.param(raw(occurred_at="2026-02-30T00:00:00.000Z"), id="a day that is not"),
        pytest.param(raw(occurred_at="2026-11-03T09:30:00.250"), id="time without a zone"),
        pytest.param(raw(occurred_at=""), id="empty time"),
    ],
)
def test_garbage_is_a_value(value: bytes | None) -> None:
    found = event_codec.decode(value)
    assert isinstance(found, Garbage)
    assert found.reason


@pytest.mark.parametrize(
    "missing", ["event_id", "conversation_id", "owner_id", "occurred_at", "data", "type"]
)
def test_a_message_without_a_required_field_is_garbage(missing: str) -> None:
    message = {key: value for key, value in ENVELOPE.items() if key != missing}
    assert isinstance(event_codec.decode(json.dumps(message).encode()), Garbage)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"text": ["canary"]}},
        {"occurred_at": "canary"},
        {"attempt": "canary"},
        {"type": "MediaExpired", "data": {"media_id": "m", "media_type": "canary"}},
        {"type": "MediaExpired", "data": {"media_id": "m", "media_type": "x' - at `$.y` \n \" canary"}},
        {"type": "AnswerRated", "data": {"thumbs": {"canary": "canary"}}},
    ],
)
def test_the_reason_names_no_content(changes: dict[str, Any]) -> None:
    found = event_codec.decode(raw(**changes))
    assert isinstance(found, Garbage)
    assert "canary" not in found.reason


@given(st.binary())
def test_no_bytes_raise(value: bytes) -> None:
    for codec in CODECS:
        assert isinstance(codec.decode(value), RESULTS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    st.sampled_from(CODECS).flatmap(
        lambda codec: st.tuples(
            st.just(codec),
            st.sampled_from([*codec.payloads, "Nonsense"]),
            st.dictionaries(st.sampled_from([*codec.envelope.__struct_fields__, "data"]), json_values),
            st.integers(-1, 3) | json_values,
        )
    )
)
def test_no_message_shaped_json_raises(drawn: tuple[Any, str, dict[str, Any], Any]) -> None:
    codec, name, fields, version = drawn
    value = json.dumps(ENVELOPE | fields | {"type": name, "version": version}).encode()
    assert isinstance(codec.decode(value), (*RESULTS, codec.envelope))


plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
wire_integers = st.integers(-(2**63), 2**63 - 1)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of the type of a field."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    arguments = get_args(kind)
    origin = getattr(kind, "__origin__", None)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if arguments:  # a union with None
        return st.one_of(*(values(one) for one in arguments))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: plain_text,
        int: wire_integers,
        bool: st.booleans(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        type(None): st.none(),
    }
    return simple[kind]


def structs(model: type[Any], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        model,
        **{
            field.name: values(field.type)
            for field in msgspec.structs.fields(model)
            if field.name not in fixed
        },
        **fixed,
    )


def messages(codec: Codec[Any]) -> st.SearchStrategy[Any]:
    payloads = st.sampled_from(list(codec.payloads.values())).flatmap(structs)
    if codec is event_codec:
        times = st.integers(0, 4_000_000_000_000).map(rfc3339)
        return structs(codec.envelope, data=payloads, occurred_at=times)
    return structs(codec.envelope, data=payloads)


@settings(max_examples=300)
@given(st.sampled_from(CODECS).flatmap(lambda codec: st.tuples(st.just(codec), messages(codec))))
def test_what_was_encoded_comes_back_equal(drawn: tuple[Codec[Any], Any]) -> None:
    codec, message = drawn
    encoded = codec.encode(message)
    assert codec.decode(encoded) == message
    assert orjson.loads(encoded)["version"] == message.data.VERSION


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_comes_back_equal(at_ms: int) -> None:
    assert parse_rfc3339_ms(rfc3339(at_ms)) == at_ms


class NoteTaken(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The third version of a payload that once was {"note": "a b"}, then {"words": "a b"}."""

    VERSION = 3
    words: tuple[str, ...]


UPCASTERS = {
    ("NoteTaken", 1): lambda data: {"words": data["note"]},
    ("NoteTaken", 2): lambda data: {"words": data["words"].split()},
}
note_codec = Codec(Event, registry(NoteTaken), UPCASTERS)


@pytest.mark.parametrize(
    ("version", "data"), [(1, {"note": "a b"}), (2, {"words": "a b"}), (3, {"words": ["a", "b"]})]
)
def test_old_versions_are_brought_up_one_step_at_a_time(version: int, data: dict[str, Any]) -> None:
    event = note_codec.decode(raw(type="NoteTaken", version=version, data=data))
    assert isinstance(event, Event)
    assert event.data == NoteTaken(words=("a", "b"))
    assert orjson.loads(note_codec.encode(event))["version"] == 3


@pytest.mark.parametrize(
    ("version", "data"), [(1, {}), (1, {"note": 7}), (2, {"words": None}), (2, {"words": ["a"]})]
)
def test_old_garbage_is_garbage_whatever_the_upcaster_trips_over(version: int, data: dict[str, Any]) -> None:
    assert isinstance(note_codec.decode(raw(type="NoteTaken", version=version, data=data)), Garbage)


def test_a_version_without_an_upcaster_is_garbage() -> None:
    codec = Codec(Event, registry(NoteTaken), {("NoteTaken", 2): UPCASTERS["NoteTaken", 2]})
    assert isinstance(codec.decode(raw(type="NoteTaken", version=1, data={"note": "a"})), Garbage)


def test_a_version_above_the_newest_is_newer() -> None:
    assert isinstance(note_codec.decode(raw(type="NoteTaken", version=4)), NewerVersion)


def test_messages_cannot_be_changed() -> None:
    event = event_codec.decode(raw())
    assert isinstance(event, Event)
    with pytest.raises(AttributeError):
        event.owner_id = "somebody"  # type: ignore[misc]
