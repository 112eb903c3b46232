"""Records → visible events: what cannot be read stops the reading, at the right record and with a reason."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import pytest

from polylogue.projections.reduction import conversations_of, read, reduce
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated
from tests.support.events import Story, numbered


class Recorded(NamedTuple):
    offset: int
    value: bytes | None


def _story() -> Story:
    story = Story("c")
    (answer,) = story.ask("Hello", "sim/text", start="Hello")
    answer.begin().text("Good day").complete()
    return story


def _records() -> list[Recorded]:
    return [Recorded(offset, event_codec.encode(event)) for offset, event in numbered(_story().events)]


def _altered(**fields: object) -> bytes:
    return orjson.dumps(orjson.loads(_records()[0].value or b"") | fields)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "garbage: the value is null"),
        (b"\xff\xfe", "garbage: the value is not JSON"),
        (_altered(data={"title": 5}), "garbage: ConversationStarted does not fit"),
        (_altered(type="ConversationEnchanted"), "unknown type 'ConversationEnchanted'"),
        (_altered(version=99), "ConversationStarted has the newer version 99"),
    ],
)
def test_reading_stops_at_what_it_does_not_know(value: bytes | None, reason: str) -> None:
    records = _records()

    readable = read([*records[:2], Recorded(3, value), *records[2:]])

    assert [offset for offset, _ in readable.events] == [1, 2]
    assert readable.refusal is not None
    assert readable.refusal.offset == 3
    assert readable.refusal.reason.startswith(reason)


def test_a_reason_names_no_content() -> None:
    secret = "the patient's name"
    readable = read([Recorded(1, _altered(data={"title": {"text": secret}}))])

    assert readable.refusal is not None
    assert secret not in readable.refusal.reason


def test_the_name_of_the_log_is_nobodys_event() -> None:
    named = Event(
        event_id="log-1",
        conversation_id="",
        owner_id="system",
        occurred_at="2026-03-01T12:00:00.000Z",
        data=LogCreated(log_id="1"),
    )

    assert reduce({}, [(0, named)], 0) == []
    assert conversations_of([(0, named)]) == []


def test_only_visible_events_come_out_and_the_last_one_finishes_the_turn() -> None:
    story = _story()
    twice = [*story.events, *story.events]

    visible = reduce({}, numbered(twice), partition=7)

    assert [seen.event.event_id for seen in visible] == [event.event_id for event in story.events]
    assert [seen.turn_running for seen in visible] == [False, True, True, True, False]
    assert [seen.turn.finished for seen in visible if seen.turn is not None] == [False, True]
    assert {seen.partition for seen in visible} == {7}
