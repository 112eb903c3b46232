"""What must hold of the visibility reducer over any plausible log, whatever is repeated and wherever a reader begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.events import (
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaProduced,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    MediaValidated,
)
from polylogue.schemas.visibility import ConversationState, RoundCompleted, Verdict, admit
from tests.unit.schemas.log_model import Record, Response, Writer, logs, without_repeats, writers

OUTCOMES = (MediaStored, MediaRejected, MediaFailed)
PASS_UNKNOWN = (MediaRetried, MediaRenditionsStored, MediaExpired, MediaDeleted)
FIRST = 0

thorough = settings(max_examples=400)


def read(log: Iterable[Record], state: ConversationState | None = None) -> list[tuple[Record, Verdict, int]]:
    """Each record with its verdict and the place at which a reader that resumes after it has to begin."""
    state = state if state is not None else ConversationState()
    return [(record, admit(state, record.event, record.offset), state.start_offset(FIRST)) for record in log]


def visible(log: Iterable[Record]) -> list[Record]:
    return [record for record, verdict, _ in read(log) if verdict.visible]


def completions(log: Iterable[Record]) -> list[RoundCompleted]:
    return [verdict.completed for _, verdict, _ in read(log) if verdict.completed]


def resumptions(full: list[tuple[Record, Verdict, int]]) -> list[tuple[int, int]]:
    """Each start that a cursor carries, with the first place at which one does."""
    first: dict[int, int] = {}
    for place, (_, _, start) in enumerate(full):
        first.setdefault(start, place)
    return list(first.items())


def medium_of(record: Record) -> str | None:
    claim: MediaClaim | None = getattr(record.event.data, "claim", None)
    return claim.media_id if claim else getattr(record.event.data, "media_id", None)


@thorough
@given(logs())
def test_repeated_records_change_nothing_that_is_visible(log: list[Record]) -> None:
    plain = without_repeats(log)
    assert [record.event.event_id for record in visible(log)] == [
        record.event.event_id for record in visible(plain)
    ]
    assert completions(log) == completions(plain)
    assert all(record.repeats is None for record in visible(log))


@thorough
@given(logs(repeats=False))
def test_a_reader_that_resumes_sees_exactly_the_rest(log: list[Record]) -> None:
    full = read(log)
    for start, place in resumptions(full):
        resumed = read(record for record in log if record.offset >= start)
        rest = len(full) - place - 1
        assert resumed[len(resumed) - rest :] == full[place + 1 :]


@thorough
@given(logs())
def test_a_reader_that_resumes_among_repeats_misses_nothing_and_repeats_only_settings(
    log: list[Record],
) -> None:
    full = read(log)
    for start, place in resumptions(full):
        resumed = read(record for record in log if record.offset >= start)
        resumed = resumed[len(resumed) - (len(full) - place - 1) :]
        # A medium of which something that passes unknown was written before the start and again after it.
        repeated = {
            medium_of(record)
            for record in log
            if record.offset >= start
            and record.repeats is not None
            and record.repeats < start
            and isinstance(record.event.data, PASS_UNKNOWN)
        }
        for (record, expected, begin), (_, found, begin_found) in zip(
            full[place + 1 :], resumed, strict=True
        ):
            assert found.completed == expected.completed
            assert begin_found == begin or (repeated and begin_found < begin)
            if found.visible != expected.visible:
                assert found.visible
                assert medium_of(record) in repeated
                assert isinstance(record.event.data, (*PASS_UNKNOWN, *OUTCOMES, MediaValidated))


@thorough
@given(logs(), st.data())
def test_the_state_survives_storage_as_json_at_any_place(log: list[Record], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log)))
    whole, stored = ConversationState(), ConversationState()
    read(log[:place], whole)
    read(log[:place], stored)
    stored = msgspec.json.decode(msgspec.json.encode(stored), type=ConversationState)
    assert stored == whole
    built = msgspec.convert(msgspec.to_builtins(whole), ConversationState)
    assert read(log[place:], stored) == read(log[place:], built) == read(log[place:], whole)


@thorough
@given(logs())
def test_a_medium_has_at_most_one_visible_notice_and_outcome_for_each_try(log: list[Record]) -> None:
    outcomes = Counter(
        (record.event.data.media_id, record.event.data.retry)
        for record in visible(log)
        if isinstance(record.event.data, OUTCOMES)
    )
    assert all(count == 1 for count in outcomes.values())
    notices = Counter(
        (record.event.data.media_id, record.event.data.retry)
        for record in visible(log)
        if isinstance(record.event.data, MediaValidated)
    )
    assert all(count == 1 for count in notices.values())
    produced = Counter(
        medium_of(record) for record in visible(log) if isinstance(record.event.data, MediaProduced)
    )
    assert all(count == 1 for count in produced.values())


@thorough
@given(writers())
def test_a_round_completes_once_when_all_has_ended_and_settled_and_not_before(writer: Writer) -> None:
    log = writer.log
    done = Counter((one.turn_id, one.round) for one in completions(log))
    assert all(count == 1 for count in done.values())

    open_media = {
        medium.response_id for medium in writer.media if medium.phase == "produced" and not medium.retry
    }
    rounds: dict[tuple[str, int], list[Response]] = {}
    for response in writer.responses:
        rounds.setdefault((response.turn_id, response.round), []).append(response)
    over = {
        place
        for place, responses in rounds.items()
        if all(one.ended and one.response_id not in open_media for one in responses)
    }
    if writer.deleted:  # what was settled after the deletion other than by it is hidden
        assert set(done) <= over
    else:
        assert set(done) == over
    for completed in completions(log):
        asked = rounds[completed.turn_id, completed.round]
        assert completed.requested == len(asked)
        assert completed.successful + completed.failed + completed.cancelled == len(asked)
        assert completed.input_length == completed.round


@thorough
@given(logs())
def test_the_start_of_a_reader_never_goes_back(log: list[Record]) -> None:
    starts = [start for _, _, start in read(log)]
    assert starts == sorted(starts)


@thorough
@given(logs())
def test_text_of_a_response_comes_in_the_order_of_its_writing(log: list[Record]) -> None:
    last: dict[str, tuple[int, int]] = {}
    for record in visible(log):
        event = record.event
        if event.sequence is None or event.attempt is None or event.response_id is None:
            continue
        place = (event.attempt, event.sequence)
        assert place > last.get(event.response_id, (0, 0))
        last[event.response_id] = place
