"""Which steps a medium may take, from its first mention to its end; what does not fit changes nothing."""

from __future__ import annotations

from polylogue.schemas.base import MediaType
from polylogue.schemas.clock import parse_rfc3339_ms
from polylogue.schemas.conversation_state import ConversationState, MediaPhase, MediumState
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    MediaValidated,
)

_OUTCOME_PHASE: dict[type, MediaPhase] = {
    MediaStored: "stored",
    MediaRejected: "rejected",
    MediaFailed: "failed",
}


def begin_medium(
    state: ConversationState, event: Event, media_id: str, media_type: MediaType, phase: MediaPhase
) -> bool:
    """Takes note of a medium that an answer makes. False where it is known already, so far or farther."""
    known = state.media.get(media_id)
    if known is not None and (known.phase != "generating" or phase == "generating"):
        return False
    state.media[media_id] = MediumState(
        media_type=media_type,
        phase=phase,
        turn_id=event.turn_id,
        response_id=event.response_id,
        waiting_since_ms=parse_rfc3339_ms(event.occurred_at) if phase == "produced" else None,
        settled=phase != "produced",
    )
    return True


def change_medium(state: ConversationState, event: Event, offset: int) -> MediumState | None:
    """The medium whose state the event has changed; None where it is hidden."""
    data = event.data
    match data:
        case MediaStored() | MediaRejected() | MediaFailed():
            medium = state.media.get(data.media_id)
            if medium is None or medium.phase != "produced" or data.retry != medium.retry:
                return None
            medium.phase, medium.settled = _OUTCOME_PHASE[type(data)], True
            medium.retried_from = None
            return medium
        case MediaValidated():
            medium = state.media.get(data.media_id)
            if medium is None or medium.phase != "produced" or data.retry != medium.retry or medium.validated:
                return None
            medium.validated = True
            return medium
        case MediaRetried():
            medium = _known_or_assumed(state, event, data.media_id, data.media_type)
            fits = medium.phase == "failed" and data.retry == medium.retry + 1
            if not (fits or (medium.assumed and data.retry > medium.retry)):
                return None
            # The round does not wait for the retry, but readers that begin later must see the outcome fit.
            medium.retried_from = state.start_offset(offset)
            medium.phase, medium.retry, medium.validated = "produced", data.retry, False
            medium.waiting_since_ms = parse_rfc3339_ms(event.occurred_at)
            return medium
        case MediaRenditionsStored():
            medium = _known_or_assumed(state, event, data.media_id, data.media_type)
            if medium.has_renditions or not _may_be_stored(medium):
                return None
            medium.has_renditions = True
            return medium
        case MediaExpired():
            medium = _known_or_assumed(state, event, data.media_id, data.media_type)
            if not _may_be_stored(medium):
                return None
            medium.phase = "expired"
            return medium
        case MediaDeleted():
            medium = _known_or_assumed(state, event, data.media_id, data.media_type)
            if medium.phase == "deleted":
                return None
            medium.phase, medium.settled, medium.retried_from = "deleted", True, None
            return medium
    return None


def _known_or_assumed(
    state: ConversationState, event: Event, media_id: str, media_type: MediaType
) -> MediumState:
    """The medium; one of a round before this reader's start is taken to be in whatever phase lets the event pass."""
    return state.media.setdefault(
        media_id,
        MediumState(
            media_type=media_type,
            phase="stored",
            turn_id=event.turn_id,
            response_id=event.response_id,
            assumed=True,
        ),
    )


def _may_be_stored(medium: MediumState) -> bool:
    return medium.phase == "stored" or (medium.assumed and medium.phase not in ("expired", "deleted"))
