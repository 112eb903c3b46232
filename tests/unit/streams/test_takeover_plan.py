"""What a new owner does with the commands that a dead runner left unfinished."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.commands import CancelTurn, DeleteConversation
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import (
    ConversationDeleted,
    ConversationStarted,
    MediaJobStarted,
    MediaProduced,
    MediaStored,
    MediaValidated,
    PromptSubmitted,
    ReasoningAppended,
    ResponseCompleted,
    ResponseStarted,
    TextAppended,
)
from polylogue.streams.takeover_plan import PlacedCommand, PlacedEvent, plan_takeover
from tests.support.claims import claim_of, one_record
from tests.support.log import start_turn

AT_MS = 1_700_000_000_000


class Scene:
    """One StartTurn for two models, and a log that a test fills."""

    def __init__(self) -> None:
        self.start = start_turn("a", "b")
        self.first, self.second = (f"{self.start.turn_id}-{n}" for n in (1, 2))
        self.commands = [PlacedCommand(7, AT_MS, self.start)]
        self.events: list[PlacedEvent] = []
        self._sequences: dict[tuple[str, int], itertools.count[int]] = {}

    def open(self) -> Scene:
        self._write(ConversationStarted(title="t"), command_offset=7)
        self._write(PromptSubmitted(prompt="p", responses=self.start.data.responses), command_offset=7)
        return self

    def write(self, response_id: str, data: Payload, attempt: int = 1) -> Scene:
        numbers = self._sequences.setdefault((response_id, attempt), itertools.count(1))
        self._write(data, response_id=response_id, attempt=attempt, sequence=next(numbers))
        return self

    def outcome(self, data: Payload) -> Scene:
        self._write(data, response_id=self.first)
        return self

    def cancel(self, *response_ids: str, offset: int = 9) -> Scene:
        command = msgspec.structs.replace(
            self.start, command_id="c", data=CancelTurn(response_ids=response_ids)
        )
        self.commands.append(PlacedCommand(offset, AT_MS, command))
        return self

    def delete(self, offset: int = 9) -> Scene:
        command = msgspec.structs.replace(self.start, command_id="d", turn_id="", data=DeleteConversation())
        self.commands.append(PlacedCommand(offset, AT_MS, command))
        return self

    def deleted(self) -> Scene:
        self._write(ConversationDeleted(), command_offset=9)
        return self

    def steps(self) -> list[str]:
        (plan,) = plan_takeover(self.commands, self.events)
        return [plan.responses[response_id].step for response_id in (self.first, self.second)]

    def _write(self, data: Payload, **fields: object) -> None:
        event = Event(
            event_id=f"e{len(self.events)}",
            conversation_id=self.start.conversation_id,
            turn_id=self.start.turn_id,
            owner_id="local",
            occurred_at=rfc3339(AT_MS),
            data=data,
            **fields,
        )
        self.events.append(PlacedEvent(100 + len(self.events), AT_MS + len(self.events), event))


def claim(media_id: str, scene: Scene) -> MediaClaim:
    start = scene.start
    return claim_of(
        media_id,
        conversation_id=start.conversation_id,
        turn_id=start.turn_id,
        response_id=scene.first,
        model="a",
        segments=one_record(),
    )


def test_a_turn_of_which_nothing_is_in_the_log_is_started() -> None:
    scene = Scene()
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert not plan.opened
    assert scene.steps() == ["start", "start"]


def test_a_response_that_has_shown_nothing_is_restarted_under_the_next_attempt() -> None:
    scene = Scene().open()
    scene.write(scene.first, ResponseStarted(model="a"))
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert plan.opened
    assert plan.responses[scene.first].step == "restart"
    assert plan.responses[scene.first].attempt == 1


@pytest.mark.parametrize("shown", [TextAppended(text="x"), ReasoningAppended(text="x")])
def test_a_response_that_has_shown_something_is_interrupted_after_its_last_event(shown: Payload) -> None:
    scene = Scene().open()
    scene.write(scene.first, ResponseStarted(model="a")).write(scene.first, shown)
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert plan.responses[scene.first].step == "interrupt"
    assert (plan.responses[scene.first].attempt, plan.responses[scene.first].sequence) == (1, 2)


def test_what_an_earlier_attempt_has_shown_counts() -> None:
    scene = Scene().open()
    scene.write(scene.first, TextAppended(text="x")).write(scene.first, ResponseStarted(model="a"), attempt=2)
    assert scene.steps()[0] == "interrupt"


JOB = MediaJobStarted(media_id="m1", media_type="video", job_id="j", polling_url="https://gateway.example/j")


def test_a_job_that_was_ordered_is_polled_on_and_not_ordered_again() -> None:
    scene = Scene().open()
    scene.write(scene.first, ResponseStarted(model="a")).write(scene.first, JOB)
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert (plan.responses[scene.first].step, plan.responses[scene.first].job) == ("poll", JOB)


def test_a_job_that_has_brought_its_medium_is_not_polled_any_more() -> None:
    scene = Scene().open()
    scene.write(scene.first, JOB).write(scene.first, MediaProduced(claim=claim("m1", scene)))
    assert scene.steps()[0] == "interrupt"


def test_a_cancel_of_a_job_names_the_job_so_that_its_place_can_say_so() -> None:
    scene = Scene().open().cancel()
    scene.write(scene.first, JOB)
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert (plan.responses[scene.first].step, plan.responses[scene.first].job) == ("cancel", JOB)


def test_an_ended_response_is_left_alone_even_where_a_cancel_came_later() -> None:
    scene = Scene().open().cancel()
    scene.write(scene.first, ResponseCompleted(finish_reason="stop"))
    assert scene.steps() == ["ended", "cancel"]


def test_a_cancel_ends_only_the_responses_it_names() -> None:
    scene = Scene()
    assert scene.cancel(scene.second).steps() == ["start", "cancel"]


def test_a_cancel_does_not_concern_a_turn_of_a_higher_offset() -> None:
    assert Scene().cancel(offset=3).steps() == ["start", "start"]


def test_a_claim_without_an_outcome_is_sent_again_with_the_time_of_its_record() -> None:
    scene = Scene().open()
    scene.write(scene.first, MediaProduced(claim=claim("m1", scene)))
    scene.write(scene.first, MediaProduced(claim=claim("m2", scene)))
    stored = MediaStored(
        media_id="m1", media_type="image", key="k", url="u", format="png", content_type="image/png",
        size_bytes=1, sha256="0" * 64,
    )  # fmt: skip
    scene.outcome(stored)
    checked = MediaValidated(
        media_id="m2", media_type="image", format="png", content_type="image/png", size_bytes=1
    )
    scene.outcome(checked)  # no outcome: its claim may be lost all the same
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert [placed.claim.media_id for placed in plan.claims] == ["m2"]
    assert plan.claims[0].produced_at_ms == AT_MS + 3


def test_a_finished_turn_leaves_nothing_to_do() -> None:
    scene = Scene().open()
    for response_id in (scene.first, scene.second):
        scene.write(response_id, ResponseCompleted(finish_reason="stop"))
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert plan.finished


def test_a_command_that_is_there_twice_is_planned_once() -> None:
    scene = Scene()
    scene.commands.append(PlacedCommand(8, AT_MS, scene.start))
    plans = plan_takeover(scene.commands, scene.events)
    assert [plan.placed.offset for plan in plans] == [7]


def test_a_takeover_of_a_takeover_ends_in_the_same_state() -> None:
    """The successor may die after any of its own events; the next one finishes the rest."""
    scene = Scene().open()
    scene.write(scene.first, TextAppended(text="x"))
    assert scene.steps() == ["interrupt", "start"]
    scene.write(scene.first, ResponseCompleted(finish_reason="stop")).write(
        scene.second, ResponseStarted(model="b"), attempt=1
    )
    assert scene.steps() == ["ended", "restart"]


def test_commands_of_other_conversations_do_not_mix() -> None:
    scene, other = Scene().open(), start_turn("a")
    scene.write(scene.first, TextAppended(text="x"))
    scene.commands.append(PlacedCommand(8, AT_MS, other))
    plans = plan_takeover(scene.commands, scene.events)
    assert [plan.opened for plan in plans] == [True, False]
    assert isinstance(plans[1].placed.command, Command)


def test_a_later_deletion_cancels_what_has_not_ended_and_says_why() -> None:
    scene = Scene().open().delete()
    scene.write(scene.first, TextAppended(text="x"))
    (plan,) = plan_takeover(scene.commands, scene.events)
    ends = [plan.responses[response_id] for response_id in (scene.first, scene.second)]
    assert [(end.step, end.reason) for end in ends] == [("cancel", "conversation_deleted")] * 2


def test_what_its_reader_stopped_before_the_deletion_was_stopped_by_its_reader() -> None:
    scene = Scene().open()
    scene.cancel(scene.first, offset=8).delete()
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert plan.responses[scene.first].reason == "user"
    assert plan.responses[scene.second].reason == "conversation_deleted"


def test_a_deletion_does_not_concern_a_turn_of_a_higher_offset() -> None:
    assert Scene().delete(offset=3).steps() == ["start", "start"]


@pytest.mark.parametrize("written", [False, True])
def test_no_claim_is_sent_again_for_a_medium_of_a_deleted_conversation(written: bool) -> None:
    scene = Scene().open().delete()
    scene.write(scene.first, MediaProduced(claim=claim("m1", scene)))
    if written:
        scene.deleted()
    (plan,) = plan_takeover(scene.commands, scene.events)
    assert plan.claims == ()
