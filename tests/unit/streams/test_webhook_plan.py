"""What a webhook tells of, and that whoever begins at the committed offset tells of all that was not told."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.schemas import events
from polylogue.schemas.envelope import Event
from polylogue.streams import webhook_plan
from polylogue.streams.webhook_plan import LONGEST_TURN_MS, PartitionWatch, TurnNotice
from tests.support.script import AT_MS
from tests.support.turns import script, turn

DONE = events.ResponseCompleted(finish_reason="stop")
FAILED = events.ResponseFailed(failure_class="upstream", message="It broke.", retryable=True)
REFUSED = events.MediaRefused(media_id="r", media_type="video", reason="disabled", message="Off.")


def fed(watch: PartitionWatch, log: list[Event], at_ms: int = AT_MS) -> list[TurnNotice]:
    notices = []
    for event in log:
        offset = watch.position
        watch.position += 1
        notice = watch.take(event, offset, at_ms)
        if notice is not None:
            notices.append(notice)
    return notices


def painted() -> tuple[list[Event], str, str]:
    """A turn of two models, one of which paints twice; the last event settles the last medium."""
    made = script(1, models=2)
    one, two = (slot.response_id for slot in made.start.responses)
    log = [
        *made.opening(),
        made.produced(one, "m1"),
        made.said(one, REFUSED),
        made.said(two, FAILED),
        made.said(one, DONE),
        made.stored(one, "m1"),
    ]
    return log, one, two


def test_a_round_with_media_is_told_of_when_its_last_medium_is_settled() -> None:
    log, *_ = painted()
    watch = PartitionWatch(100)
    assert fed(watch, log[:-1]) == []
    assert fed(watch, [script(1, models=2).validated(log[-1].response_id or "", "m1")]) == []
    (notice,) = fed(watch, log[-1:])
    sent = msgspec.json.decode(msgspec.json.encode(notice))
    turn_id = f"{1:032x}"
    assert sent == {
        "id": f"{turn_id}.1",
        "type": "turn.completed",
        "conversation_id": "c" * 32,
        "turn_id": turn_id,
        "round": 1,
        "owner_id": "local",
        "media": [
            {"media_id": "m1", "type": "image", "status": "stored"},
            {"media_id": "r", "type": "video", "status": "refused"},
        ],
        "counts": {
            "models_requested": 2,
            "models_successful": 1,
            "models_failed": 1,
            "models_cancelled": 0,
        },
        "occurred_at": log[-1].occurred_at,
    }


def test_a_round_without_media_and_a_repeated_record_are_not_told_of() -> None:
    made = script(1, models=1)
    response_id = made.start.responses[0].response_id
    assert fed(PartitionWatch(0), [*made.opening(), *made.answer(response_id, "text")]) == []
    log, *_ = painted()
    assert len(fed(PartitionWatch(0), [*log, *log])) == 1


def test_a_film_that_never_came_has_failed() -> None:
    made = script(1, models=1)
    response_id = made.start.responses[0].response_id
    job = events.MediaJobStarted(media_id="f", media_type="video", job_id="j", polling_url="https://x.test/")
    (notice,) = fed(
        PartitionWatch(0), [*made.opening(), made.said(response_id, job), made.said(response_id, FAILED)]
    )
    assert [medium.status for medium in notice.media] == ["failed"]


def test_what_is_unfinished_or_undelivered_is_read_again_and_nothing_else() -> None:
    log, *_ = painted()
    watch = PartitionWatch(100)
    assert watch.committable == 100
    (notice,) = fed(watch, log)
    assert watch.committable == 100  # not delivered
    watch.delivered(notice.id)
    assert watch.committable == watch.position == 100 + len(log)
    fed(watch, list(script(2, models=1).opening()))
    assert watch.committable == 100 + len(log)  # not finished
    watch.delivered("another")
    assert watch.committable == 100 + len(log)


def test_a_deleted_conversation_and_a_turn_of_yesterday_hold_nothing() -> None:
    made = script(1, models=1)
    watch = PartitionWatch(0)
    fed(watch, list(made.opening()))
    deleted = made._event("deleted", events.ConversationDeleted())
    fed(watch, [msgspec.structs.replace(deleted, command_offset=9)])
    assert watch.committable == watch.position
    old = PartitionWatch(0)
    fed(old, list(script(1, models=1).opening()))
    assert old.committable == 0
    fed(old, [msgspec.structs.replace(deleted, conversation_id="d" * 32)], at_ms=AT_MS + LONGEST_TURN_MS + 1)
    assert old.committable == old.position


def test_conversations_at_rest_are_forgotten_and_those_under_way_are_not() -> None:
    watch = PartitionWatch(0)
    log, *_ = painted()
    fed(watch, log[:-1])
    for number in range(webhook_plan.MOST_STATES + 50):
        other = script(2, models=1, conversation_id=f"{number:032x}")
        fed(watch, [*other.opening(), *other.answer(other.start.responses[0].response_id, "x")])
    assert len(watch._states) == webhook_plan.MOST_STATES + 1
    assert len(fed(watch, log[-1:])) == 1


@st.composite
def partitions(draw: st.DrawFn) -> list[Event]:
    """Three conversations of one or two turns each, mixed; records come twice now and then."""
    waiting = []
    for conversation in "abc":
        written: list[Event] = []
        for number in range(1, draw(st.integers(2, 3))):
            name = 10 * "abc".index(conversation) + number
            written += [
                msgspec.structs.replace(
                    event, conversation_id=conversation * 32, command_offset=event.command_offset and name
                )
                for event in draw(turn(name))
            ]
        waiting.append(written)
    log: list[Event] = []
    while any(waiting):
        source = draw(st.sampled_from([one for one in waiting if one]))
        log.append(source.pop(0))
        if draw(st.integers(0, 9)) == 0:
            log.append(log[-1])
    return log


@settings(max_examples=150)
@given(partitions(), st.data())
def test_after_any_crash_every_round_is_told_of_in_the_same_words(
    log: list[Event], data: st.DataObject
) -> None:
    wanted = {notice.id: msgspec.json.encode(notice) for notice in fed(PartitionWatch(0), log)}
    told: Counter[str] = Counter()
    committed = 0
    for _ in range(3):
        end = data.draw(st.integers(committed, len(log)))
        watch = PartitionWatch(committed)
        for notice in fed(watch, log[committed:end]):
            assert msgspec.json.encode(notice) == wanted[notice.id]
            if data.draw(st.booleans()):
                told[notice.id] += 1
                watch.delivered(notice.id)
        assert watch.committable >= committed
        committed = watch.committable
    for notice in fed(PartitionWatch(committed), log[committed:]):
        assert msgspec.json.encode(notice) == wanted[notice.id]
        told[notice.id] += 1
    assert told.keys() == wanted.keys()
