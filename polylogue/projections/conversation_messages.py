"""The projection behind a stored conversation: one row a prompt or answer, with `media_urls`."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.media_rows import stored_file
from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import Append, Refresh, RowChanges, Scalar, Table, json_text
from polylogue.schemas.base import Payload
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    ConversationDeleted,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaProduced,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    PromptSubmitted,
    ReasoningAppended,
    ResponseCancelled,
    ResponseCompleted,
    ResponseEnd,
    ResponseFailed,
    ResponseStarted,
    TextAppended,
)

MESSAGES = Table(
    "conversation_messages",
    key="message_id",
    columns={
        "message_id": "text",
        "conversation_id": "text NOT NULL",
        "turn_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "role": "text NOT NULL CHECK (role IN ('user', 'assistant'))",
        "model_id": "text",
        "content": "text NOT NULL",
        "reasoning": "text",
        "attachments": "json",
        "status": "text NOT NULL",
        "finish_reason": "text",
        "error_class": "text",
        "error_message": "text",
        "retryable": "boolean",
        "usage": "json",
        "cost_usd_micros": "bigint",
        "time_to_first_token_ms": "integer",
        "duration_ms": "integer",
        "position": "integer NOT NULL",
        "attempt": "integer NOT NULL",
        "created_at": "timestamptz NOT NULL",
        "completed_at": "timestamptz",
    },
    # Follows from the media rows; NULL where there are none.
    derived={"media_urls": "json"},
    indexes=("(conversation_id, turn_id, position)",),
)
MEDIA = Table(
    "conversation_message_media",
    key="media_id",
    columns={
        "media_id": "text",
        "conversation_id": "text NOT NULL",
        "message_id": "text NOT NULL",
        "position": "integer NOT NULL",
        "status": "text NOT NULL",
        "type": "text NOT NULL",
        "url": "text",
        "key": "text",
        "format": "text",
        "content_type": "text",
        "size_bytes": "bigint",
        "sha256": "text",
        "width": "integer",
        "height": "integer",
        "duration_ms": "integer",
        "renditions": "json",
    },
    indexes=("(message_id, position)", "(conversation_id)"),
)
# A medium has a URL from the moment it is stored; an expired or deleted one stays, with its status.
MEDIA_URLS = Refresh(
    """
    UPDATE conversation_messages AS message SET media_urls = stored.media_urls
    FROM (
        SELECT message_id, json_agg(json_strip_nulls(json_build_object(
            'url', url, 'type', type, 'format', format, 'size_bytes', size_bytes, 'content_type', content_type,
            'media_id', media_id, 'key', key, 'width', width, 'height', height, 'duration_ms', duration_ms,
            'sha256', sha256, 'status', status, 'renditions', renditions
        )) ORDER BY position, media_id) AS media_urls
        FROM conversation_message_media
        WHERE url IS NOT NULL AND message_id IN (
            SELECT message_id FROM conversation_message_media WHERE media_id = ANY(%s))
        GROUP BY message_id
    ) AS stored
    WHERE message.message_id = stored.message_id
    """
)
# Between the positions of two rounds of a turn lie more places than a round can have responses.
_PLACES_A_ROUND = 1000


# What a history is mostly made of.
_TEXT = (TextAppended, ReasoningAppended)


class ConversationMessages:
    name = "conversation_messages"
    version = 1
    tables = (MESSAGES, MEDIA)
    handles: frozenset[type[Payload]] = frozenset(
        {
            ConversationDeleted,
            PromptSubmitted,
            ResponseStarted,
            TextAppended,
            ReasoningAppended,
            ResponseCompleted,
            ResponseFailed,
            ResponseCancelled,
            MediaProduced,
            MediaStored,
            MediaRejected,
            MediaFailed,
            MediaRetried,
            MediaRenditionsStored,
            MediaExpired,
            MediaDeleted,
        }
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            event = seen.event
            if type(event.data) in _TEXT:
                _fold_answer(changes, event)
            elif isinstance(event.data, ConversationDeleted):
                changes.remove(MESSAGES, event.conversation_id)
                changes.remove(MEDIA, event.conversation_id)
            elif isinstance(event.data, PromptSubmitted):
                _add_messages(changes, event, event.data)
            else:
                _fold_answer(changes, event)
                _fold_medium(changes, event)
        return changes


def _add_messages(changes: RowChanges, event: Event, data: PromptSubmitted) -> None:
    common: dict[str, Scalar] = {
        "conversation_id": event.conversation_id,
        "turn_id": event.turn_id,
        "owner_id": event.owner_id,
        "created_at": event.occurred_at,
    }
    if data.round == 1:
        changes.insert(
            MESSAGES,
            **common,
            message_id=f"{event.turn_id}-user",
            role="user",
            content=data.prompt,
            attachments=json_text(data.attachments) if data.attachments else None,
            status="completed",
            position=0,
            attempt=0,
            completed_at=event.occurred_at,
        )
    for place, slot in enumerate(data.responses, start=(data.round - 1) * _PLACES_A_ROUND + 1):
        changes.insert(
            MESSAGES,
            **common,
            message_id=slot.response_id,
            role="assistant",
            model_id=slot.model,
            content="",
            status="waiting",
            position=place,
            attempt=0,
        )


def _fold_answer(changes: RowChanges, event: Event) -> None:
    data, response_id = event.data, event.response_id
    if response_id is None:
        return

    def change(**values: Scalar | Append) -> None:
        changes.update(MESSAGES, response_id, event.conversation_id, **values)

    match data:
        case TextAppended():
            change(content=Append(data.text))
        case ReasoningAppended():
            change(reasoning=Append(data.text))
        case ResponseStarted():
            # A new attempt begins the answer anew.
            change(status="running", attempt=event.attempt, content="", reasoning=None)
        case ResponseCompleted():
            change(
                status="completed",
                finish_reason=data.finish_reason,
                time_to_first_token_ms=data.time_to_first_token_ms,
                **_end(event, data),
            )
        case ResponseFailed():
            change(
                status="failed",
                error_class=data.failure_class,
                error_message=data.message,
                retryable=data.retryable,
                **_end(event, data),
            )
        case ResponseCancelled():
            change(status="cancelled", finish_reason="cancelled", **_end(event, data))


def _end(event: Event, data: ResponseEnd) -> dict[str, Scalar]:
    return {
        "usage": None if data.usage is None else json_text(data.usage),
        "cost_usd_micros": data.cost_usd_micros,
        "duration_ms": data.duration_ms,
        "completed_at": event.occurred_at,
    }


def _fold_medium(changes: RowChanges, event: Event) -> None:
    data = event.data

    def change(media_id: str, /, **values: Scalar) -> None:
        changes.update(MEDIA, media_id, event.conversation_id, **values)
        changes.refresh(MEDIA_URLS, media_id)

    match data:
        case MediaProduced(claim=claim):
            changes.insert(
                MEDIA,
                media_id=claim.media_id,
                conversation_id=event.conversation_id,
                message_id=event.response_id,
                # The place in the answer: rises with the order of appearance.
                position=event.sequence,
                status="uploading",
                type=claim.media_type,
            )
        case MediaStored():
            change(
                data.media_id,
                status="stored",
                url=data.url,
                **stored_file(data),
                renditions=json_text(data.renditions) if data.renditions else None,
            )
        case MediaRejected():
            change(data.media_id, status="rejected")
        case MediaFailed():
            change(data.media_id, status="failed")
        case MediaRetried():
            change(data.media_id, status="uploading")
        case MediaRenditionsStored():
            change(data.media_id, renditions=json_text(data.renditions))
        case MediaExpired():
            change(data.media_id, status="expired")
        case MediaDeleted():
            change(data.media_id, status="deleted")
