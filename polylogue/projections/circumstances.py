"""What the reducer's state tells of an event that the event itself does not say; pure."""

from __future__ import annotations

from typing import TypedDict

from polylogue.schemas.base import MediaType
from polylogue.schemas.clock import parse_rfc3339_ms
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    AnswerRated,
    MediaFailed,
    MediaRejected,
    MediaStored,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseSlot,
)

TELLING = frozenset(
    {
        AnswerRated,
        MediaFailed,
        MediaRejected,
        MediaStored,
        ResponseCancelled,
        ResponseCompleted,
        ResponseFailed,
    }
)


class Told(TypedDict, total=False):
    """Fields of a VisibleEvent."""

    media: tuple[MediaType, ...]
    waited_ms: int | None
    answers: tuple[ResponseSlot, ...]


def told(state: ConversationState, event: Event) -> Told:
    """Of an event of a type in TELLING, right after the reducer admitted it."""
    match event.data:
        case (
            MediaStored(media_id=media_id) | MediaRejected(media_id=media_id) | MediaFailed(media_id=media_id)
        ):
            return {"waited_ms": _waited_ms(state, event, media_id)}
        case AnswerRated():
            return {"answers": _completed_answers(state, event.turn_id)}
        case _:
            return {"media": _produced_media(state, event.response_id)}


def _waited_ms(state: ConversationState, event: Event, media_id: str) -> int | None:
    medium = state.media.get(media_id)
    if medium is None or medium.waiting_since_ms is None:
        return None
    # The clocks of the two writers may differ.
    return max(0, parse_rfc3339_ms(event.occurred_at) - medium.waiting_since_ms)


def _completed_answers(state: ConversationState, turn_id: str | None) -> tuple[ResponseSlot, ...]:
    return tuple(
        ResponseSlot(response_id=response_id, model=response.model)
        for response_id, response in state.responses.items()
        if response.turn_id == turn_id and response.status == "completed"
    )


def _produced_media(state: ConversationState, response_id: str | None) -> tuple[MediaType, ...]:
    return tuple(
        medium.media_type
        for medium in state.media.values()
        if medium.response_id == response_id and medium.phase not in ("generating", "refused")
    )
