"""The one reducer that says which events are visible: used by tail, catch-up, snapshot and projections alike.

Deterministic and free of effects: the state is a plain value that can be stored as JSON, and `admit` changes nothing
else. Feeding the same records in the same order gives the same verdicts, wherever it runs.
"""

from __future__ import annotations

import msgspec

from polylogue.schemas.clock import parse_rfc3339_ms
from polylogue.schemas.conversation_state import (
    ConversationState,
    ResponseState,
    ResponseStatus,
    RoundState,
    TurnState,
)
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
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    PromptSubmitted,
    ReasoningAppended,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseNoted,
    ResponseQueued,
    ResponseStarted,
    TextAppended,
)
from polylogue.schemas.medium_steps import begin_medium, change_medium

__all__ = ["ConversationState", "RoundCompleted", "Verdict", "admit"]

_FROM_COMMAND = (
    ConversationStarted,
    ConversationRenamed,
    ConversationPinned,
    ConversationShared,
    ConversationDeleted,
    PromptSubmitted,
    AnswerRated,
)
_FROM_RUNNER = (
    ResponseQueued,
    ResponseStarted,
    ResponseNoted,
    TextAppended,
    ReasoningAppended,
    ResponseCompleted,
    ResponseFailed,
    ResponseCancelled,
    MediaJobStarted,
    MediaRefused,
    MediaProduced,
)
_ENDS: dict[type, ResponseStatus] = {
    ResponseCompleted: "completed",
    ResponseFailed: "failed",
    ResponseCancelled: "cancelled",
}


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

    A reader that begins at `ConversationState.start_offset` decides as one that began at the first record. There is
    one exception, and it is harmless where readers take these events as settings: MediaRetried,
    MediaRenditionsStored, MediaExpired and MediaDeleted of a medium of a finished round pass once more where their
    first copy lies before the start.
    """
    data = event.data
    if isinstance(data, LogCreated) or (state.deleted and not isinstance(data, MediaDeleted)):
        return _HIDDEN
    if isinstance(data, _FROM_COMMAND):
        return _admit_from_command(state, event, offset)
    if isinstance(data, _FROM_RUNNER):
        visible = _admit_from_runner(state, event)
        may_complete, response_id = type(data) in _ENDS, event.response_id
    else:
        medium = change_medium(state, event, offset)
        visible = may_complete = medium is not None
        response_id = medium.response_id if medium else None
    if not visible:
        return _HIDDEN
    response = state.responses.get(response_id or "")
    if response is None or not may_complete:
        return _VISIBLE
    return Verdict(visible=True, completed=_complete_round(state, event, response.turn_id, response.round))


def _admit_from_command(state: ConversationState, event: Event, offset: int) -> Verdict:
    data, command = event.data, event.command_offset
    if command is None:
        return _HIDDEN
    if state.first_command_offset is None:
        state.first_command_offset = command
    name = type(data).__name__
    # The writer answers commands in their order, so that a reader that began at a turn's start needs to know nothing
    # of earlier commands: their events lie before it, and whatever comes now of a lower command is a repetition.
    if command <= state.command_offsets.get(name, state.first_command_offset - 1):
        return _HIDDEN
    if state.opening is None or state.opening[0] != command:
        state.opening = (command, offset)
    state.command_offsets[name] = command
    if isinstance(data, PromptSubmitted):
        return _open_round(state, event, data, state.opening[1])
    if isinstance(data, ConversationDeleted):
        state.deleted = True
    return _VISIBLE


def _open_round(state: ConversationState, event: Event, data: PromptSubmitted, start_offset: int) -> Verdict:
    if event.turn_id is None:
        return _HIDDEN
    opened = RoundState(
        round=data.round,
        start_offset=start_offset,
        started_ms=parse_rfc3339_ms(event.occurred_at),
        input_length=len(data.prompt),
    )
    turn = state.turns.get(event.turn_id)
    if turn is None:
        state.turns[event.turn_id] = TurnState(rounds=[opened])
    elif data.round > turn.round:
        turn.rounds.append(opened)
    else:
        return _HIDDEN
    for slot in data.responses:
        state.responses[slot.response_id] = ResponseState(
            turn_id=event.turn_id, model=slot.model, round=data.round
        )
    # A round that asks nobody is over at once; left open it would hold every later reader at its start.
    return Verdict(visible=True, completed=_complete_round(state, event, event.turn_id, data.round))


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
            return begin_medium(state, event, data.media_id, data.media_type, "generating")
        case MediaRefused():
            return begin_medium(state, event, data.media_id, data.media_type, "refused")
        case MediaProduced():
            return begin_medium(state, event, data.claim.media_id, data.claim.media_type, "produced")
        case _ if type(data) in _ENDS:
            response.status = _ENDS[type(data)]
    return True


def _complete_round(
    state: ConversationState, event: Event, turn_id: str, number: int
) -> RoundCompleted | None:
    """The completion of a round, where `event` was the last that it waited for."""
    turn = state.turns[turn_id]
    opened = next(one for one in turn.rounds if one.round == number)
    if opened.completed:
        return None
    responses = {
        response_id: response
        for response_id, response in state.responses.items()
        if response.turn_id == turn_id and response.round == number
    }
    if not all(response.ended for response in responses.values()):
        return None
    if not all(medium.settled for medium in state.media.values() if medium.response_id in responses):
        return None
    opened.completed = True
    statuses = [response.status for response in responses.values()]
    return RoundCompleted(
        turn_id=turn_id,
        round=number,
        input_length=opened.input_length,
        requested=len(statuses),
        successful=statuses.count("completed"),
        failed=statuses.count("failed"),
        cancelled=statuses.count("cancelled"),
        processing_time_ms=max(0, parse_rfc3339_ms(event.occurred_at) - opened.started_ms),
    )
