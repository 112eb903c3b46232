"""Which rounds of which turns a webhook tells of, and from where a successor has to read; pure."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from polylogue.schemas.base import MediaType
from polylogue.schemas.conversation_state import ConversationState, MediaPhase
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import ConversationDeleted, LogCreated, PromptSubmitted
from polylogue.schemas.visibility import RoundCompleted, admit

MOST_STATES = 1000  # conversations of a partition that are remembered although nothing of them is unfinished
# No turn lasts so long: responses and media have deadlines of minutes. One that never ends must not hold the place.
LONGEST_TURN_MS = 24 * 3600 * 1000

_STATUS: dict[MediaPhase, str] = {"generating": "failed", "produced": "pending"}


class MediumNotice(msgspec.Struct, frozen=True, kw_only=True):
    media_id: str
    type: MediaType
    status: str  # stored, rejected, failed, refused, deleted, expired; pending while it is tried once more


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    models_requested: int
    models_successful: int
    models_failed: int
    models_cancelled: int


class TurnNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. It follows from the log alone, so that a repetition is the same to the byte."""

    id: str
    type: str = "turn.completed"
    conversation_id: str
    turn_id: str
    round: int
    owner_id: str
    media: tuple[MediumNotice, ...]
    counts: Counts
    occurred_at: str


class PartitionWatch:
    """Reduces one partition; remembers what is unfinished or not delivered, since that must be read again."""

    def __init__(self, position: int) -> None:
        self.position = position  # the next offset
        self._states: OrderedDict[str, ConversationState] = OrderedDict()
        self._unfinished: dict[str, list[tuple[int, int]]] = {}  # conversation → (start offset, start in ms)
        self._undelivered: dict[str, int] = {}  # id of the notice → start offset of its round
        self._now_ms = 0  # of the latest record

    def take(self, event: Event, offset: int, timestamp_ms: int) -> TurnNotice | None:
        """The notice to deliver, where this event ends a round that has media."""
        self._now_ms = max(self._now_ms, timestamp_ms)
        if isinstance(event.data, LogCreated):
            return None
        conversation_id = event.conversation_id
        state = self._states.setdefault(conversation_id, ConversationState())
        self._states.move_to_end(conversation_id)
        verdict = admit(state, event, offset)
        if verdict.completed is not None or isinstance(event.data, PromptSubmitted | ConversationDeleted):
            self._note_unfinished(conversation_id, state)
        self._forget_oldest()
        if verdict.completed is None:
            return None
        notice = _notice(state, event, verdict.completed)
        if notice is not None:
            self._undelivered[notice.id] = _start_of(state, verdict.completed)
        return notice

    def delivered(self, notice_id: str) -> None:
        """Or given up."""
        self._undelivered.pop(notice_id, None)

    @property
    def committable(self) -> int:
        """The start of the oldest round that is unfinished or undelivered, else the position.

        A round that had finished before is not noticed again by who begins there: its start lies before.
        """
        oldest_ms = self._now_ms - LONGEST_TURN_MS
        starts = [
            start for rounds in self._unfinished.values() for start, at_ms in rounds if at_ms >= oldest_ms
        ]
        return min([*starts, *self._undelivered.values()], default=self.position)

    def _note_unfinished(self, conversation_id: str, state: ConversationState) -> None:
        # Of a deleted conversation nothing more is visible, so its turns never finish.
        rounds = [
            (one.start_offset, one.started_ms)
            for turn in state.turns.values()
            for one in turn.rounds
            if not one.completed and not state.deleted
        ]
        if rounds:
            self._unfinished[conversation_id] = rounds
        else:
            self._unfinished.pop(conversation_id, None)

    def _forget_oldest(self) -> None:
        """Not at once when a turn has finished: a repetition of its records would look like a turn of its own."""
        if len(self._states) - len(self._unfinished) > MOST_STATES:
            del self._states[next(name for name in self._states if name not in self._unfinished)]


def _notice(state: ConversationState, event: Event, completed: RoundCompleted) -> TurnNotice | None:
    responses = {
        response_id
        for response_id, response in state.responses.items()
        if (response.turn_id, response.round) == (completed.turn_id, completed.round)
    }
    media = tuple(
        MediumNotice(
            media_id=media_id, type=medium.media_type, status=_STATUS.get(medium.phase, medium.phase)
        )
        for media_id, medium in state.media.items()
        if medium.response_id in responses
    )
    if not media:
        return None
    return TurnNotice(
        id=f"{completed.turn_id}.{completed.round}",
        conversation_id=event.conversation_id,
        turn_id=completed.turn_id,
        round=completed.round,
        owner_id=event.owner_id,
        media=media,
        counts=Counts(
            models_requested=completed.requested,
            models_successful=completed.successful,
            models_failed=completed.failed,
            models_cancelled=completed.cancelled,
        ),
        occurred_at=event.occurred_at,
    )


def _start_of(state: ConversationState, completed: RoundCompleted) -> int:
    rounds = state.turns[completed.turn_id].rounds
    return next(one.start_offset for one in rounds if one.round == completed.round)
