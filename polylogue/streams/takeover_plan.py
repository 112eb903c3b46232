"""What a new owner of a partition has to do, decided from its unfinished commands and the final events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.commands import CancelTurn, DeleteConversation, StartTurn
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import (
    CancelReason,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    ReasoningAppended,
    ResponseNoted,
    TextAppended,
)
from polylogue.schemas.visibility import ConversationState, admit

Step = Literal["start", "ended", "interrupt", "cancel", "restart", "poll"]

# Whoever has seen one of these has seen something of the answer: it is kept and ended, never begun again.
_ANSWER = (TextAppended, ReasoningAppended, MediaProduced, MediaRefused, MediaJobStarted, ResponseNoted)


@dataclass(frozen=True)
class PlacedCommand:
    offset: int
    timestamp_ms: int
    command: Command
    unsupported: bool = False  # of a newer version: its responses are ended as failed


@dataclass(frozen=True)
class PlacedEvent:
    offset: int
    timestamp_ms: int
    event: Event


@dataclass(frozen=True)
class ResponsePlan:
    """`attempt` and `sequence` are the last that are visible; the next event goes on from them.

    `job` is the one that is polled: it is paid for, so it is not ordered again.
    """

    step: Step
    attempt: int = 0
    sequence: int = 0
    job: MediaJobStarted | None = None
    reason: CancelReason = "user"  # of the step `cancel`


@dataclass(frozen=True)
class PlacedClaim:
    claim: MediaClaim
    produced_at_ms: int


@dataclass(frozen=True)
class TurnPlan:
    """How to go on with one StartTurn. `opened`: its PromptSubmitted is in the log."""

    placed: PlacedCommand
    opened: bool = False
    responses: dict[str, ResponsePlan] = field(default_factory=dict)
    claims: tuple[PlacedClaim, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether a runner has let it answer: then no other turn was in its way."""
        return any(plan.step in ("interrupt", "restart") for plan in self.responses.values())

    @property
    def finished(self) -> bool:
        return (
            self.opened and not self.claims and all(plan.step == "ended" for plan in self.responses.values())
        )


def plan_takeover(commands: Iterable[PlacedCommand], events: Iterable[PlacedEvent]) -> list[TurnPlan]:
    """One plan for each turn that is to be started, in order of offset; a command that is here twice counts once.

    `commands` are those from the committed offset to the end; `events` the partition's from before the oldest of them
    to its end, which is final because the former writer is fenced.
    """
    commands = list(commands)
    states: dict[str, ConversationState] = defaultdict(ConversationState)
    answered: set[str] = set()
    jobs: dict[str, MediaJobStarted] = {}
    produced: dict[str, PlacedClaim] = {}
    for placed in events:
        event = placed.event
        if not admit(states[event.conversation_id], event, placed.offset).visible:
            continue
        if event.response_id is not None and isinstance(event.data, _ANSWER):
            answered.add(event.response_id)
        if event.response_id is not None and isinstance(event.data, MediaJobStarted):
            jobs[event.response_id] = event.data
        if isinstance(event.data, MediaProduced):
            produced[event.data.claim.media_id] = PlacedClaim(event.data.claim, placed.timestamp_ms)
    starts: dict[str, PlacedCommand] = {}
    for item in commands:
        if isinstance(item.command.data, StartTurn):
            starts.setdefault(item.command.command_id, item)
    return [
        _plan_turn(
            start,
            commands,
            state=states[start.command.conversation_id],
            answered=answered,
            jobs=jobs,
            produced=produced,
        )
        for start in starts.values()
    ]


def cancelled_responses(placed: PlacedCommand, commands: Iterable[PlacedCommand]) -> set[str]:
    """The responses of a StartTurn that a later CancelTurn stops."""
    start = placed.command.data
    if not isinstance(start, StartTurn):
        return set()
    everything = {slot.response_id for slot in start.responses}
    stopped: set[str] = set()
    for other in commands:
        cancel = other.command.data
        if (
            isinstance(cancel, CancelTurn)
            and other.command.turn_id == placed.command.turn_id
            and other.offset > placed.offset
        ):
            stopped |= set(cancel.response_ids) & everything if cancel.response_ids else everything
    return stopped


def is_deleted(placed: PlacedCommand, commands: Iterable[PlacedCommand]) -> bool:
    """Whether a later command deletes the conversation of a StartTurn."""
    return any(
        isinstance(other.command.data, DeleteConversation)
        and other.command.conversation_id == placed.command.conversation_id
        and other.offset > placed.offset
        for other in commands
    )


def _plan_turn(
    placed: PlacedCommand,
    commands: list[PlacedCommand],
    *,
    state: ConversationState,
    answered: set[str],
    jobs: dict[str, MediaJobStarted],
    produced: dict[str, PlacedClaim],
) -> TurnPlan:
    start = placed.command.data
    assert isinstance(start, StartTurn)
    cancelled, deleted = cancelled_responses(placed, commands), is_deleted(placed, commands)
    responses: dict[str, ResponsePlan] = {}
    for slot in start.responses:
        response = state.responses.get(slot.response_id)
        attempt, sequence = (response.attempt, response.sequence) if response else (0, 0)
        job = jobs.get(slot.response_id)
        step: Step
        if response is not None and response.ended:
            step = "ended"
        elif deleted or slot.response_id in cancelled:
            step = "cancel"
        elif job is not None and state.media[job.media_id].phase == "generating":
            step = "poll"
        elif slot.response_id in answered:
            step = "interrupt"
        else:
            step = "restart" if attempt else "start"
        responses[slot.response_id] = ResponsePlan(
            step,
            attempt,
            sequence,
            job if step in ("poll", "cancel") else None,
            "user" if slot.response_id in cancelled else "conversation_deleted" if deleted else "user",
        )
    unsettled = {
        media_id
        for media_id, medium in state.media.items()
        # Whoever deletes the conversation removes its media; to store them first would be in vain.
        if medium.response_id in responses and medium.phase == "produced" and not (deleted or state.deleted)
    }
    return TurnPlan(
        placed=placed,
        opened=all(slot.response_id in state.responses for slot in start.responses),
        responses=responses,
        claims=tuple(produced[media_id] for media_id in sorted(unsettled) if media_id in produced),
    )
