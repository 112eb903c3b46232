"""The one reducer that says which events are visible: used by tail, catch-up, snapshot and projections alike.

Deterministic and free of effects: the state is a plain value that can be stored as JSON, and `admit` changes nothing
else. Feeding the same records in the same order gives the same verdicts, wherever it runs.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from polylogue.schemas.base import MediaType
from polylogue.schemas.clock import parse_rfc3339_ms
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    AnswerRated,
    ConversationDeleted,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    ConversationStarted,
    LogCreated,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    PromptSubmitted,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseStarted,
)

ResponseStatus = Literal["waiting", "running", "completed", "failed", "cancelled"]
MediaPhase = Literal[
    "generating", "produced", "refused", "stored", "rejected", "failed", "expired", "deleted"
]

_FROM_COMMAND = (
    ConversationStarted,
    ConversationRenamed,
    ConversationPinned,
    ConversationShared,
    ConversationDeleted,
    PromptSubmitted,
    AnswerRated,
)
_OUTCOME_PHASE: dict[type, MediaPhase] = {
    MediaStored: "stored",
    MediaRejected: "rejected",
    MediaFailed: "failed",
}
_ENDS: dict[type, ResponseStatus] = {
    ResponseCompleted: "completed",
    ResponseFailed: "failed",
    ResponseCancelled: "cancelled",
}


class ResponseState(msgspec.Struct, kw_only=True, omit_defaults=True):
    turn_id: str
    model: str
    round: int
    attempt: int = 0
    sequence: int = 0
    status: ResponseStatus = "waiting"

    @property
    def ended(self) -> bool:
        return self.status not in ("waiting", "running")


class MediumState(msgspec.Struct, kw_only=True, omit_defaults=True):
    media_type: MediaType
    phase: MediaPhase
    turn_id: str | None = None
    response_id: str | None = None
    retry: int = 0
    settled: bool = (
        True  # false from MediaProduced until its first outcome; a later retry does not unsettle it
    )
    has_renditions: bool = False


class TurnState(msgspec.Struct, kw_only=True, omit_defaults=True):
    start_offset: int  # of the first event of the command that opened the present round
    started_ms: int
    input_length: int
    round: int
    completed_round: int = 0

    @property
    def finished(self) -> bool:
        return self.completed_round == self.round


class ConversationState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All that the verdict on the next event of one conversation depends on."""

    responses: dict[str, ResponseState] = msgspec.field(default_factory=dict)
    media: dict[str, MediumState] = msgspec.field(default_factory=dict)
    turns: dict[str, TurnState] = msgspec.field(default_factory=dict)  # in order of their start
    command_offsets: dict[str, int] = msgspec.field(
        default_factory=dict
    )  # event type → last command's offset
    first_command_offset: int | None = None
    opening: tuple[int, int] | None = None  # the last command seen: (its offset, offset of its first event)
    deleted: bool = False

    def start_offset(self, otherwise: int) -> int:
        """Where a reader must begin to hold this state again: the start of the oldest unfinished round, else of the
        last one, else `otherwise`."""
        unfinished = [turn.start_offset for turn in self.turns.values() if not turn.finished]
        if unfinished:
            return min(unfinished)
        return max((turn.start_offset for turn in self.turns.values()), default=otherwise)

    def running_turn(self) -> str | None:
        """The id of the turn that has not finished, if there is one."""
        return next((turn_id for turn_id, turn in self.turns.items() if not turn.finished), None)


class RoundCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """Every response of the round has ended and every medium has its outcome."""

    turn_id: str
    round: int
    input_length: int  # characters
    requested: int
    successful: int
    failed: int
    cancelled: int
    processing_time_ms: int


class Verdict(msgspec.Struct, frozen=True):
    visible: bool
    completed: RoundCompleted | None = None


_HIDDEN = Verdict(visible=False)
_VISIBLE = Verdict(visible=True)


def admit(state: ConversationState, event: Event, offset: int) -> Verdict:
    """Decides on the next event of a conversation and brings `state` up to date.

    `offset` is that of the record in its partition of `conversation-events`. Duplicates, late records of an ended
    response, and transitions that do not fit are hidden.
    """
    data = event.data
    if isinstance(data, LogCreated) or (state.deleted and not isinstance(data, MediaDeleted)):
        return _HIDDEN
    if isinstance(data, _FROM_COMMAND):
        return _admit_from_command(state, event, offset)
    if event.sequence is not None:
        visible = _admit_from_runner(state, event)
        if not visible:
            return _HIDDEN
        if type(data) not in _ENDS:
            return _VISIBLE
    elif not _admit_from_agent(state, event):
        return _HIDDEN
    return Verdict(visible=True, completed=_complete_round(state, event))


def _admit_from_command(state: ConversationState, event: Event, offset: int) -> Verdict:
    data, command = event.data, event.command_offset
    if command is None:
        return _HIDDEN
    if state.first_command_offset is None:
        state.first_command_offset = command
    name = type(data).__name__
    # A reader that began at a turn's start knows nothing of earlier commands, but their events lie before it:
    # whatever comes now of a lower command is a repetition.
    if command <= state.command_offsets.get(name, state.first_command_offset - 1):
        return _HIDDEN
    if state.opening is None or state.opening[0] != command:
        state.opening = (command, offset)
    state.command_offsets[name] = command
    if isinstance(data, PromptSubmitted):
        return _VISIBLE if _open_round(state, event, data, state.opening[1]) else _HIDDEN
    if isinstance(data, ConversationDeleted):
        state.deleted = True
    return _VISIBLE


def _open_round(state: ConversationState, event: Event, data: PromptSubmitted, start_offset: int) -> bool:
    if event.turn_id is None:
        return False
    turn = state.turns.get(event.turn_id)
    if turn is not None and data.round <= turn.round:
        return False
    state.turns[event.turn_id] = TurnState(
        start_offset=start_offset,
        started_ms=parse_rfc3339_ms(event.occurred_at),
        input_length=len(data.prompt),
        round=data.round,
        completed_round=data.round - 1 if turn is None else turn.completed_round,
    )
    for slot in data.responses:
        state.responses[slot.response_id] = ResponseState(
            turn_id=event.turn_id, model=slot.model, round=data.round
        )
    return True


def _admit_from_runner(state: ConversationState, event: Event) -> bool:
    response = state.responses.get(event.response_id or "")
    if response is None or response.ended or event.attempt is None or event.sequence is None:
        return False
    if (event.attempt, event.sequence) <= (response.attempt, response.sequence):
        return False
    response.attempt, response.sequence = event.attempt, event.sequence
    data = event.data
    match data:
        case ResponseStarted():
            response.status = "running"
        case MediaJobStarted():
            return _begin_medium(state, event, data.media_id, data.media_type, "generating")
        case MediaRefused():
            return _begin_medium(state, event, data.media_id, data.media_type, "refused")
        case MediaProduced():
            return _begin_medium(state, event, data.claim.media_id, data.claim.media_type, "produced")
        case _ if type(data) in _ENDS:
            response.status = _ENDS[type(data)]
    return True


def _begin_medium(
    state: ConversationState, event: Event, media_id: str, media_type: MediaType, phase: MediaPhase
) -> bool:
    known = state.media.get(media_id)
    if known is not None and (known.phase != "generating" or phase == "generating"):
        return False
    state.media[media_id] = MediumState(
        media_type=media_type,
        phase=phase,
        turn_id=event.turn_id,
        response_id=event.response_id,
        settled=phase != "produced",
    )
    return True


def _admit_from_agent(state: ConversationState, event: Event) -> bool:
    data = event.data
    match data:
        case MediaStored() | MediaRejected() | MediaFailed():
            medium = state.media.get(data.media_id)
            if medium is None or medium.phase != "produced" or data.retry != medium.retry:
                return False
            medium.phase, medium.settled = _OUTCOME_PHASE[type(data)], True
            return True
        case MediaRetried():
            medium = state.media.get(data.media_id)
            if medium is None or medium.phase != "failed" or data.retry != medium.retry + 1:
                return False
            medium.phase, medium.retry = "produced", data.retry
            return True
        case MediaRenditionsStored():
            medium = _known_or_new(state, event, data.media_id, data.media_type)
            if medium.phase != "stored" or medium.has_renditions:
                return False
            medium.has_renditions = True
            return True
        case MediaExpired():
            medium = _known_or_new(state, event, data.media_id, data.media_type)
            if medium.phase != "stored":
                return False
            medium.phase = "expired"
            return True
        case MediaDeleted():
            medium = _known_or_new(state, event, data.media_id, data.media_type)
            if medium.phase == "deleted":
                return False
            medium.phase, medium.settled = "deleted", True
            return True
    return False


def _known_or_new(
    state: ConversationState, event: Event, media_id: str, media_type: MediaType
) -> MediumState:
    """The medium; one of a turn before this reader's start must have been stored, or nothing would come of it now."""
    return state.media.setdefault(
        media_id,
        MediumState(
            media_type=media_type, phase="stored", turn_id=event.turn_id, response_id=event.response_id
        ),
    )


def _complete_round(state: ConversationState, event: Event) -> RoundCompleted | None:
    turn_id = event.turn_id
    turn = state.turns.get(turn_id or "")
    if turn_id is None or turn is None or turn.finished:
        return None
    responses = [response for response in state.responses.values() if response.turn_id == turn_id]
    if not all(response.ended for response in responses):
        return None
    if not all(medium.settled for medium in state.media.values() if medium.turn_id == turn_id):
        return None
    turn.completed_round = turn.round
    statuses = [response.status for response in responses if response.round == turn.round]
    return RoundCompleted(
        turn_id=turn_id,
        round=turn.round,
        input_length=turn.input_length,
        requested=len(statuses),
        successful=statuses.count("completed"),
        failed=statuses.count("failed"),
        cancelled=statuses.count("cancelled"),
        processing_time_ms=max(0, parse_rfc3339_ms(event.occurred_at) - turn.started_ms),
    )
