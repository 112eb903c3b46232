"""Events → browser frames, by the closed table of `schemas.frames`. Pure: the same log gives the same frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from polylogue.schemas import events, frames
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event
from polylogue.schemas.visibility import RoundCompleted, Verdict

UrlFor = Callable[[str], str]
"""S3 object key → the URL that a reader is given."""

CursorFor = Callable[[int], str]
"""Number of the frame within its event → the frame's id."""

NOTHING_SUCCEEDED = "No model could answer; each answer says why."
# Whoever stopped a model himself need not be told.
CANCEL_MESSAGES = {
    "cost_limit": "The cost of this turn has reached its cap; what came before is kept.",
    "conversation_deleted": "The conversation was deleted.",
}


def frames_of(
    state: ConversationState, event: Event, verdict: Verdict, cursor_for: CursorFor, url_for: UrlFor
) -> list[frames.PlacedFrame]:
    """The frames of one event; `state` is that after the event was admitted with `verdict`."""
    if not verdict.visible:
        return []
    made: list[frames.PlacedFrame] = []
    for make, fields in _drafts(state, event, verdict, url_for):
        made.append(
            make(
                id=cursor_for(len(made)),
                conversation_id=event.conversation_id,
                **({"turn_id": event.turn_id} | fields),
            )
        )
    return made


_Draft = tuple[type[frames.PlacedFrame], dict[str, Any]]


def _drafts(state: ConversationState, event: Event, verdict: Verdict, url_for: UrlFor) -> Iterator[_Draft]:
    yield from _own(state, event, url_for)
    if verdict.completed is not None:
        yield from _completion(event, verdict.completed)


def _own(state: ConversationState, event: Event, url_for: UrlFor) -> Iterator[_Draft]:
    data = event.data
    match data:
        case events.PromptSubmitted():
            models = tuple(slot.model for slot in data.responses)
            yield frames.TurnFrame, {"prompt": data.prompt, "models": models}
            for slot in data.responses:
                yield (
                    frames.StartFrame,
                    {"model": slot.model, "response_id": slot.response_id, "attempt": 1},
                )
        case events.ConversationStarted():
            yield frames.ConversationFrame, {"change": "started", "title": data.title}
        case events.ConversationRenamed():
            yield frames.ConversationFrame, {"change": "renamed", "title": data.title}
        case events.ConversationPinned():
            yield frames.ConversationFrame, {"change": "pinned"}
        case events.ConversationShared():
            yield frames.ConversationFrame, {"change": "shared"}
        case events.ConversationDeleted():
            yield frames.ConversationFrame, {"change": "deleted"}
        case _:
            yield from _of_response(state, event, url_for)


def _of_response(state: ConversationState, event: Event, url_for: UrlFor) -> Iterator[_Draft]:
    data = event.data
    whose = _whose(state, event)
    match data:
        case events.ResponseQueued():
            yield frames.QueuedFrame, whose | {"position": data.position}
        case events.ResponseStarted() if event.attempt is not None and event.attempt > 1:
            yield frames.StartFrame, whose | {"attempt": event.attempt}
        case events.ResponseNoted():
            yield frames.NoteFrame, whose | {"code": data.code, "message": data.message}
        case events.TextAppended():
            yield frames.ChunkFrame, whose | {"content": data.text}
        case events.ReasoningAppended():
            yield frames.ReasoningFrame, whose | {"content": data.text}
        case events.ResponseCompleted():
            yield (
                frames.DoneFrame,
                whose | {"error": False, "finish_reason": data.finish_reason} | _cost(data),
            )
        case events.ResponseFailed():
            failure = {
                "error": True,
                "finish_reason": "error",
                "message": data.message,
                "retryable": data.retryable,
            }
            yield frames.DoneFrame, whose | failure | _cost(data)
        case events.ResponseCancelled():
            stopped = {
                "error": False,
                "finish_reason": "cancelled",
                "message": CANCEL_MESSAGES.get(data.reason),
            }
            yield frames.DoneFrame, whose | stopped | _cost(data)
        case _:
            yield from _of_medium(event, whose, url_for)


def _of_medium(event: Event, whose: dict[str, Any], url_for: UrlFor) -> Iterator[_Draft]:
    data = event.data
    match data:
        case events.MediaJobStarted():
            medium: dict[str, Any] = {"media_id": data.media_id, "media_type": data.media_type}
            yield frames.MediaPendingFrame, whose | medium | {"phase": "generating"}
        case events.MediaProduced(claim=claim):
            medium = {
                "media_id": claim.media_id,
                "media_type": claim.media_type,
                "phase": "validating",
                "format": claim.format,
                "width": claim.width,
                "height": claim.height,
                "size_bytes": claim.segments.size_bytes if claim.segments else None,
            }
            yield frames.MediaPendingFrame, whose | medium
        case events.MediaRetried():
            medium = {"media_id": data.media_id, "media_type": data.media_type}
            yield frames.MediaPendingFrame, whose | medium | {"phase": "validating"}
        case events.MediaValidated():
            medium = {
                "media_id": data.media_id,
                "media_type": data.media_type,
                "phase": "uploading",
                "format": data.format,
                "width": data.width,
                "height": data.height,
                "size_bytes": data.size_bytes,
            }
            yield frames.MediaPendingFrame, whose | medium
        case events.MediaStored():
            url = url_for(data.key)
            medium = {
                "media_id": data.media_id,
                "media_type": data.media_type,
                "url": url,
                "format": data.format,
                "content_type": data.content_type,
                "size_bytes": data.size_bytes,
                "media_url": url,
                "media_format": data.format,
                "width": data.width,
                "height": data.height,
                "duration_ms": data.duration_ms,
                "renditions": tuple(_rendition(one, url_for) for one in data.renditions) or None,
            }
            yield frames.MediaFrame, whose | medium
        case events.MediaRefused() | events.MediaRejected() | events.MediaFailed():
            medium = {
                "media_id": data.media_id,
                "media_type": data.media_type,
                "reason": data.reason,
                "message": data.message,
            }
            yield frames.MediaFailedFrame, whose | medium
        case events.MediaRenditionsStored():
            renditions = tuple(_rendition(one, url_for) for one in data.renditions)
            yield frames.MediaRenditionsFrame, whose | {"media_id": data.media_id, "renditions": renditions}
        case events.MediaExpired():
            yield frames.MediaExpiredFrame, _known(whose) | {"media_id": data.media_id, "reason": data.reason}
        case events.MediaDeleted():
            yield frames.MediaDeletedFrame, _known(whose) | {"media_id": data.media_id, "reason": data.reason}
        case _:
            pass  # what no frame tells: ratings, logs


def _completion(event: Event, completed: RoundCompleted) -> Iterator[_Draft]:
    turn = {"turn_id": completed.turn_id}
    # A turn that was stopped by its reader is no error.
    if completed.failed and not completed.successful:
        yield frames.ErrorFrame, turn | {"message": NOTHING_SUCCEEDED}
    metadata = frames.CompleteMetadata(
        conversation_id=event.conversation_id,
        input_length=completed.input_length,
        models_requested=completed.requested,
        models_successful=completed.successful,
        models_failed=completed.failed,
        models_cancelled=completed.cancelled,
        timestamp=event.occurred_at,
        processing_time_ms=completed.processing_time_ms,
    )
    yield frames.CompleteFrame, turn | {"metadata": metadata}


def _whose(state: ConversationState, event: Event) -> dict[str, Any]:
    """`model` and `response_id` of the response that the event belongs to."""
    response_id = event.response_id
    if response_id is None:
        medium = state.media.get(getattr(event.data, "media_id", ""))
        response_id = medium.response_id if medium else None
    response = state.responses.get(response_id or "")
    # A medium of a turn before the reader's start: its model is not in the log that was read.
    return {"model": response.model if response else "", "response_id": response_id or ""}


def _known(whose: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in whose.items() if value}


def _cost(
    data: events.ResponseCompleted | events.ResponseFailed | events.ResponseCancelled,
) -> dict[str, Any]:
    return {
        "usage": msgspec.convert(msgspec.to_builtins(data.usage), frames.FrameUsage) if data.usage else None,
        "cost_usd": data.cost_usd_micros / 1e6 if data.cost_usd_micros is not None else None,
    }


def _rendition(rendition: events.Rendition, url_for: UrlFor) -> frames.FrameRendition:
    return frames.FrameRendition(
        name=rendition.name,
        url=url_for(rendition.key),
        content_type=rendition.content_type,
        size_bytes=rendition.size_bytes,
        width=rendition.width,
        height=rendition.height,
    )
