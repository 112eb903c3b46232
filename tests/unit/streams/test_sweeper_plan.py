"""What the sweeper decides: what it sends again, what it removes and when, and where a successor must begin."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.media.keys import object_key
from polylogue.schemas import events
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import ExpireMedia, RetryMedia, StoreMedia
from polylogue.schemas.envelope import Event
from polylogue.schemas.visibility import ConversationState, admit
from polylogue.streams import sweeper_plan
from polylogue.streams.sweeper_plan import (
    LONGEST_ROUND_MS,
    Action,
    PartitionSweep,
    RemoveObjects,
    SendAgain,
    expire_request,
)
from tests.support.script import AT_MS, Script
from tests.support.turns import CONVERSATION, script, turn

DEADLINE_MS = 600_000
GRACE_MS = 900_000
DONE = events.ResponseCompleted(finish_reason="stop")
FAILED = events.MediaFailed(media_id="m", media_type="image", reason="storage_unavailable", message="Away.")


def sweep(position: int = 0) -> PartitionSweep:
    return PartitionSweep(position, deadline_ms=DEADLINE_MS, remove_after_ms=GRACE_MS)


def fed(watch: PartitionSweep, log: list[Event], at_ms: int = AT_MS) -> PartitionSweep:
    for event in log:
        watch.take(event, watch.position, at_ms)
        watch.position += 1
    return watch


def said_of(made: Script, data: Payload) -> Event:
    return made._event(f"m.{type(data).__name__}", data, response_id=made.start.responses[0].response_id)


def produced(*, ended: bool = True) -> tuple[Script, list[Event]]:
    made = script(models=1)
    response_id = made.start.responses[0].response_id
    log = [*made.opening(), made.produced(response_id, "m")]
    return made, [*log, made.said(response_id, DONE)] if ended else log


def deleted(made: Script) -> Event:
    event = made._event("deleted", events.ConversationDeleted())
    return msgspec.structs.replace(event, command_offset=99)


def removals(actions: list[Action]) -> list[str | None]:
    return [action.media_id for action in actions if isinstance(action, RemoveObjects)]


def test_a_claim_is_sent_again_only_after_the_deadline_and_then_ever_more_rarely() -> None:
    made, log = produced()
    watch = fed(sweep(), log)
    assert watch.due(AT_MS + DEADLINE_MS - 1) == []
    [again] = watch.due(AT_MS + DEADLINE_MS)
    assert isinstance(again, SendAgain)
    assert isinstance(again.request.data, StoreMedia)
    assert again.request.data.produced_at_ms == AT_MS
    assert again.request.data.claim.media_id == "m"
    watch.done(again, AT_MS + DEADLINE_MS)
    assert watch.overdue == 1
    assert watch.due(AT_MS + DEADLINE_MS * 3 - 1) == []
    assert watch.due(AT_MS + DEADLINE_MS * 3) == [again]
    fed(watch, [made.stored(log[-1].response_id or "", "m")])
    assert watch.due(AT_MS + 10**9) == []
    assert watch.overdue == 0


def test_that_a_medium_has_passed_its_check_changes_nothing() -> None:
    made, log = produced()
    checked = made.validated(log[-1].response_id or "", "m")
    plain, watch = fed(sweep(), log), fed(fed(sweep(), log), [checked, checked], AT_MS + 5000)
    assert watch.due(AT_MS + DEADLINE_MS - 1) == []
    assert watch.due(AT_MS + DEADLINE_MS) == plain.due(AT_MS + DEADLINE_MS) != []
    assert watch.committable == plain.committable == 0
    for one in (plain, watch):
        fed(one, [said_of(made, FAILED)], AT_MS + 6000)
    fed(watch, [checked], AT_MS + 7000)
    assert watch.due(AT_MS + 6000 + GRACE_MS) == plain.due(AT_MS + 6000 + GRACE_MS) != []


def test_a_stored_medium_is_left_alone_for_ever() -> None:
    made, log = produced()
    watch = fed(sweep(), [*log, made.stored(log[-1].response_id or "", "m")])
    assert watch.due(AT_MS + 10**12) == []
    assert watch.committable == watch.position


@pytest.mark.parametrize(
    "outcome",
    [
        FAILED,
        events.MediaRejected(media_id="m", media_type="image", reason="undecodable", message="Bad."),
        events.MediaDeleted(media_id="m", media_type="image"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_objects_of_what_is_not_shown_go_a_while_after_that_state(outcome: Payload) -> None:
    made, log = produced()
    watch = fed(fed(sweep(), log), [said_of(made, outcome)], AT_MS + 5000)
    assert watch.due(AT_MS + 5000 + GRACE_MS - 1) == []
    [action] = watch.due(AT_MS + 5000 + GRACE_MS)
    assert isinstance(action, RemoveObjects)
    assert action.key == f"media/image/{CONVERSATION}/sim%2Fpainter/20260101_m.png"
    assert watch.committable == 0  # a successor would have to know
    watch.done(action, AT_MS)
    assert watch.due(AT_MS + 10**12) == []
    assert watch.committable == watch.position


def test_a_stragglers_hidden_outcome_puts_the_removal_off() -> None:
    made, log = produced()
    watch = fed(sweep(), [*log, said_of(made, events.MediaDeleted(media_id="m", media_type="image"))])
    [before] = watch.due(AT_MS + GRACE_MS)
    fed(watch, [made.stored(log[-1].response_id or "", "m")], AT_MS + GRACE_MS)
    assert not watch.stands(before)
    assert watch.due(AT_MS + GRACE_MS) == []
    assert removals(watch.due(AT_MS + 2 * GRACE_MS)) == ["m"]


def test_a_failed_medium_that_is_tried_again_keeps_its_objects() -> None:
    made, log = produced()
    watch = fed(sweep(), [*log, said_of(made, FAILED)])
    [removal] = watch.due(AT_MS + GRACE_MS)
    retried = events.MediaRetried(media_id="m", media_type="image", retry=1)
    fed(watch, [said_of(made, retried)], AT_MS + GRACE_MS)
    assert not watch.stands(removal)
    [again] = watch.due(AT_MS + GRACE_MS + DEADLINE_MS)
    assert isinstance(again, SendAgain)
    assert isinstance(again.request.data, RetryMedia)
    assert (again.request.data.claim.retry, again.request.data.asked_at_ms) == (1, AT_MS + GRACE_MS)


def test_a_deleted_conversation_loses_everything_and_is_not_tried_again() -> None:
    made, log = produced()
    watch = fed(sweep(), [*log, deleted(made)])
    assert removals(watch.due(AT_MS + DEADLINE_MS + GRACE_MS)) == [None]
    fed(watch, [made.stored(log[-1].response_id or "", "m")], AT_MS + 1000)
    assert watch.due(AT_MS + GRACE_MS) == []
    [action] = watch.due(AT_MS + 1000 + GRACE_MS)
    watch.done(action, AT_MS)
    assert watch.due(AT_MS + 10**12) == []


def test_what_may_be_a_repetition_from_before_the_start_removes_nothing() -> None:
    made, _ = produced()
    straggler = [said_of(made, events.MediaRetried(media_id="m", media_type="image", retry=1))]
    straggler.append(said_of(made, msgspec.structs.replace(FAILED, retry=1)))
    assert removals(fed(sweep(), straggler).due(AT_MS + 10**12)) == []
    gone = [said_of(made, events.MediaExpired(media_id="m", media_type="image"))]
    assert removals(fed(sweep(), gone).due(AT_MS + 10**12)) == ["m"]


def test_a_round_that_never_ends_holds_no_successor_back_for_ever() -> None:
    _, log = produced(ended=False)
    made = script(2, models=1, conversation_id="d" * 32)
    watch = fed(sweep(), log[:-1])
    assert watch.committable == 0
    fed(watch, list(made.opening())[:1], AT_MS + LONGEST_ROUND_MS + 1)
    assert watch.committable > 0


def test_idle_conversations_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper_plan, "MOST_IDLE", 3)
    watch = sweep()
    for number in range(1, 20):
        made = script(1, models=1, conversation_id=f"{number:032x}")
        response_id = made.start.responses[0].response_id
        fed(watch, [*made.opening(), made.said(response_id, DONE)])
    assert len(watch._conversations) == 3


def test_what_was_stored_is_asked_to_expire_with_all_that_the_agent_needs() -> None:
    made, log = produced()
    stored = made.stored(log[-1].response_id or "", "m")
    key = object_key("image", CONVERSATION, "sim/painter", "20260101", "m", "png")
    stored = msgspec.structs.replace(stored, data=msgspec.structs.replace(stored.data, key=key))
    request = expire_request(stored, 7)
    assert request is not None
    assert isinstance(request.data, ExpireMedia)
    medium = request.data.medium
    assert (medium.media_id, medium.answer_partition, medium.owner_id) == ("m", 7, "local")
    assert (medium.key, medium.size_bytes, medium.model) == (key, 7, "sim/painter")
    assert expire_request(log[0], 7) is None


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Turns whose media may fail, be deleted, be retried; with repetitions and stragglers."""
    log: list[Event] = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        log += draw(turn(number, finished=draw(st.booleans())))
    media = [one for one in log if isinstance(one.data, events.MediaProduced)]
    for one in media:
        media_id = one.data.claim.media_id  # type: ignore[attr-defined]
        fates = draw(
            st.lists(
                st.sampled_from(
                    [
                        msgspec.structs.replace(FAILED, media_id=media_id),
                        events.MediaRetried(media_id=media_id, media_type="image", retry=1),
                        events.MediaDeleted(media_id=media_id, media_type="image"),
                        events.MediaExpired(media_id=media_id, media_type="image"),
                    ]
                ),
                max_size=3,
            )
        )
        for fate in fates:
            event = msgspec.structs.replace(
                one, data=fate, attempt=None, sequence=None, event_id=f"{media_id}.{type(fate).__name__}"
            )
            log.insert(draw(st.integers(log.index(one) + 1, len(log))), event)
    return log


@settings(max_examples=150)
@given(histories(), st.data())
def test_a_successor_that_begins_at_the_committed_place_decides_the_same(
    log: list[Event], data: st.DataObject
) -> None:
    """Whoever reads on from where another one stopped misses nothing that was open then."""
    at = data.draw(st.integers(0, len(log)))
    first = fed(sweep(), log[:at])
    start = first.committable
    successor = fed(sweep(start), log[start:])
    whole = fed(sweep(), log)
    later = AT_MS + 10**10
    known = set(removals(successor.due(later))) | set(removals(first.due(later)))
    assert set(removals(whole.due(later))) <= known
    claims = {action.media_id for action in whole.due(later) if isinstance(action, SendAgain)}
    assert claims <= {action.media_id for action in successor.due(later)}


@settings(max_examples=150)
@given(histories())
def test_nothing_that_a_reader_is_shown_is_ever_removed(log: list[Event]) -> None:
    state = ConversationState()
    for offset, event in enumerate(log):
        admit(state, event, offset)
    shown = {media_id for media_id, medium in state.media.items() if medium.phase in ("stored", "produced")}
    for at in range(len(log)):
        start = fed(sweep(), log[:at]).committable
        assert not set(removals(fed(sweep(start), log[start:]).due(AT_MS + 10**12))) & shown


def test_a_late_retry_brings_nothing_back_that_is_deleted() -> None:
    """A reader that began after the medium was made cannot see that the retry does not fit; that it is final, it can."""
    made, _ = produced()
    late = [
        said_of(made, events.MediaDeleted(media_id="m", media_type="image")),
        said_of(made, events.MediaRetried(media_id="m", media_type="image", retry=1)),
    ]
    watch = fed(sweep(), late)
    assert removals(watch.due(AT_MS + GRACE_MS)) == ["m"]
    watch.done(watch.due(AT_MS + GRACE_MS)[0], AT_MS)
    assert watch.committable == watch.position
