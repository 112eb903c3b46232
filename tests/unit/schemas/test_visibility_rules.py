"""Each rule of visibility as a small story: what is written, and which of it is visible."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from polylogue.schemas.base import Payload
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    ConversationDeleted,
    ConversationRenamed,
    LogCreated,
    MediaDeleted,
    MediaExpired,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    MediaRenditionsStored,
    MediaRetried,
    PromptSubmitted,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseSlot,
    ResponseStarted,
    TextAppended,
)
from polylogue.schemas.visibility import ConversationState, Verdict, admit
from tests.unit.schemas.log_model import Medium, Writer, claim, failed, rejected, stored, validated

NAMED: dict[str, Any] = {"media_id": "m", "media_type": "image"}


class Story:
    """Feeds events to the reducer, one offset after another."""

    def __init__(self) -> None:
        self.state = ConversationState()
        self.offset = 0

    def tell(self, data: Payload, **envelope: Any) -> Verdict:
        self.offset += 1
        event = Event(
            event_id="e",
            conversation_id="c",
            owner_id="o",
            occurred_at=f"2026-11-03T09:30:{self.offset:02d}.000Z",
            data=data,
            **envelope,
        )
        return admit(self.state, event, self.offset)

    def ask(self, *responses: str, turn: str = "t", number: int = 1, command: int = 1) -> Verdict:
        slots = tuple(ResponseSlot(response_id=one, model="sim") for one in responses)
        return self.tell(
            PromptSubmitted(prompt="hello", responses=slots, round=number),
            turn_id=turn,
            command_offset=command,
        )

    def run(
        self, data: Payload, attempt: int, sequence: int, response: str = "r", turn: str = "t"
    ) -> Verdict:
        return self.tell(data, turn_id=turn, response_id=response, attempt=attempt, sequence=sequence)

    def report(self, data: Payload, response: str = "r", turn: str = "t") -> Verdict:
        return self.tell(data, turn_id=turn, response_id=response)


@pytest.fixture
def story() -> Story:
    begun = Story()
    assert begun.ask("r").visible
    assert begun.run(ResponseStarted(model="sim"), 1, 1).visible
    return begun


@pytest.mark.parametrize(
    ("place", "visible"), [((1, 2), True), ((1, 1), False), ((1, 0), False), ((2, 1), True), ((0, 9), False)]
)
def test_attempt_and_sequence_must_rise(story: Story, place: tuple[int, int], visible: bool) -> None:
    assert story.run(TextAppended(text="x"), *place).visible is visible


def test_an_abandoned_attempt_stays_silent(story: Story) -> None:
    assert story.run(ResponseStarted(model="sim"), 2, 1).visible
    assert not story.run(TextAppended(text="late"), 1, 7).visible
    assert story.run(TextAppended(text="x"), 2, 2).visible


@pytest.mark.parametrize(
    "end",
    [
        ResponseCompleted(finish_reason="stop"),
        ResponseFailed(failure_class="upstream", message="m", retryable=True),
        ResponseCancelled(),
    ],
)
def test_after_its_end_nothing_of_the_runner_is_visible(story: Story, end: Payload) -> None:
    verdict = story.run(end, 1, 2)
    assert verdict.visible
    assert verdict.completed is not None
    assert not story.run(TextAppended(text="x"), 1, 3).visible
    assert not story.run(ResponseStarted(model="sim"), 2, 1).visible
    assert not story.run(ResponseCancelled(), 2, 2).visible
    assert not story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 4).visible


def test_a_response_nobody_asked_for_is_hidden(story: Story) -> None:
    assert not story.run(TextAppended(text="x"), 1, 2, response="other").visible


@pytest.mark.parametrize("place", [{"attempt": 1}, {"sequence": 2}, {}])
def test_a_runner_event_without_its_place_is_hidden(story: Story, place: dict[str, int]) -> None:
    assert not story.tell(TextAppended(text="x"), turn_id="t", response_id="r", **place).visible


def test_events_of_commands_must_rise_by_type(story: Story) -> None:
    assert story.tell(ConversationRenamed(title="a"), command_offset=3).visible
    assert not story.tell(ConversationRenamed(title="a"), command_offset=3).visible
    assert not story.tell(ConversationRenamed(title="b"), command_offset=2).visible
    assert not story.tell(ConversationRenamed(title="c")).visible
    assert story.ask("r2", turn="t2", command=2).visible
    assert not story.ask("r3", turn="t3", command=2).visible


def test_the_name_of_the_log_is_never_visible() -> None:
    assert not Story().tell(LogCreated(log_id="x")).visible


PHASES: dict[str, list[Payload]] = {
    "produced": [],
    "validated": [validated(NAMED, 0)],
    "stored": [stored(NAMED, 0)],
    "rejected": [rejected(NAMED, 0)],
    "failed": [failed(NAMED, 0)],
    "retried": [validated(NAMED, 0), failed(NAMED, 0), MediaRetried(**NAMED, retry=1)],
    "stored again": [failed(NAMED, 0), MediaRetried(**NAMED, retry=1), stored(NAMED, 1)],
    "with renditions": [stored(NAMED, 0), MediaRenditionsStored(**NAMED, renditions=())],
    "expired": [stored(NAMED, 0), MediaExpired(**NAMED)],
    "deleted": [stored(NAMED, 0), MediaDeleted(**NAMED)],
}
NEXT: dict[str, Payload] = {
    "validated": validated(NAMED, 0),
    "validated 1": validated(NAMED, 1),
    "stored": stored(NAMED, 0),
    "rejected": rejected(NAMED, 0),
    "failed": failed(NAMED, 0),
    "stored 1": stored(NAMED, 1),
    "failed 1": failed(NAMED, 1),
    "retried 1": MediaRetried(**NAMED, retry=1),
    "retried 2": MediaRetried(**NAMED, retry=2),
    "renditions": MediaRenditionsStored(**NAMED, renditions=()),
    "expired": MediaExpired(**NAMED),
    "deleted": MediaDeleted(**NAMED),
}
FITS = {
    "produced": {"validated", "stored", "rejected", "failed", "deleted"},
    "validated": {"stored", "rejected", "failed", "deleted"},
    "stored": {"renditions", "expired", "deleted"},
    "rejected": {"deleted"},
    "failed": {"retried 1", "deleted"},
    "retried": {"validated 1", "stored 1", "failed 1", "deleted"},
    "stored again": {"renditions", "expired", "deleted"},
    "with renditions": {"expired", "deleted"},
    "expired": {"deleted"},
    "deleted": set(),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("step", NEXT)
def test_a_medium_takes_only_the_steps_that_fit(story: Story, phase: str, step: str) -> None:
    assert story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 2).visible
    for data in PHASES[phase]:
        assert story.report(data).visible
    assert story.report(NEXT[step]).visible is (step in FITS[phase])


@pytest.mark.parametrize("step", NEXT)
def test_only_what_carries_all_a_reader_needs_passes_for_an_unknown_medium(step: str) -> None:
    story = Story()
    story.ask("r2", turn="t2", command=9)
    passes = {"retried 1", "retried 2", "renditions", "expired", "deleted"}
    assert story.report(NEXT[step]).visible is (step in passes)


def test_a_job_becomes_a_medium_or_is_refused_once(story: Story) -> None:
    job = MediaJobStarted(**NAMED, job_id="j", polling_url="u")
    refused = MediaRefused(**NAMED, reason="video_failed", message="m")
    assert story.run(job, 1, 2).visible
    assert not story.run(job, 1, 3).visible
    assert story.run(refused, 1, 4).visible
    assert not story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 5).visible


def test_a_round_is_complete_when_the_last_medium_has_its_outcome(story: Story) -> None:
    story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 2)
    assert story.run(ResponseCompleted(finish_reason="stop"), 1, 3).completed is None
    assert story.report(validated(NAMED, 0)).completed is None
    completed = story.report(failed(NAMED, 0)).completed
    assert completed is not None
    assert (completed.requested, completed.successful, completed.input_length) == (1, 1, 5)
    assert completed.processing_time_ms == 5000
    assert story.report(MediaRetried(**NAMED, retry=1)).completed is None
    assert story.report(stored(NAMED, 1)).completed is None


def test_rounds_that_overlap_complete_each_on_its_own(story: Story) -> None:
    assert story.ask("r2", number=2, command=2).visible
    assert story.state.start_offset(0) == 1
    second = story.run(
        ResponseFailed(failure_class="conflict", message="m", retryable=False), 1, 1, "r2"
    ).completed
    assert second is not None
    assert (second.round, second.requested, second.failed) == (2, 1, 1)
    assert story.state.running_turn() == "t"
    first = story.run(ResponseCompleted(finish_reason="stop"), 1, 2).completed
    assert first is not None
    assert (first.round, first.successful) == (1, 1)
    assert story.state.running_turn() is None


def test_a_round_that_asks_nobody_is_complete_at_once() -> None:
    assert Story().ask().completed is not None


def test_after_the_deletion_of_the_conversation_only_deletions_of_media_are_visible(story: Story) -> None:
    story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 2)
    assert story.tell(ConversationDeleted(), command_offset=5).visible
    assert not story.run(TextAppended(text="x"), 1, 3).visible
    assert not story.ask("r2", turn="t2", command=6).visible
    assert not story.report(stored(NAMED, 0)).visible
    assert story.report(MediaDeleted(**NAMED)).visible
    assert not story.report(MediaDeleted(**NAMED)).visible


def test_a_retry_under_way_holds_the_start_of_later_readers(story: Story) -> None:
    story.run(MediaProduced(claim=claim(Medium("m", "t", "r"))), 1, 2)
    story.report(failed(NAMED, 0))
    story.run(ResponseCompleted(finish_reason="stop"), 1, 3)
    story.report(MediaRetried(**NAMED, retry=1))
    story.ask("r2", turn="t2", command=2)
    story.run(ResponseCancelled(), 1, 1, "r2", "t2")
    assert story.state.start_offset(0) == 1
    story.report(stored(NAMED, 1))
    assert story.state.start_offset(0) > 1


def test_the_model_of_a_writer_is_repeatable() -> None:
    """A failing seed can be run again."""
    assert Writer(Random(7)).run(40) == Writer(Random(7)).run(40)
