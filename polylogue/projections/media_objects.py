"""The projection behind the gallery and the audit: one row a medium, from its announcement to its end."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.media_rows import ORIGIN, origin, stored_file
from polylogue.projections.protocol import VisibleEvent, fold_each
from polylogue.projections.rows import RowChanges, Scalar, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import (
    ConversationDeleted,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    MediaRejected,
    MediaRetried,
    MediaStored,
)

MEDIA_OBJECTS = Table(
    "media_objects",
    key="media_id",
    columns={
        **ORIGIN,
        "media_type": "text NOT NULL CHECK (media_type IN ('image', 'audio', 'video'))",
        "status": "text NOT NULL CHECK (status IN ('generating', 'uploading', 'refused', 'stored', 'rejected', 'failed', 'expired', 'deleted'))",
        "key": "text",
        "url": "text",
        "format": "text",
        "content_type": "text",
        "declared_content_type": "text",
        "size_bytes": "bigint",
        "sha256": "text",
        "width": "integer",
        "height": "integer",
        "duration_ms": "integer",
        "reason": "text",
        "message": "text",
        "retry": "integer NOT NULL",
        "position": "integer NOT NULL",
        "created_at": "timestamptz NOT NULL",
        "updated_at": "timestamptz NOT NULL",
    },
    kept=frozenset({"created_at"}),
    indexes=(
        "(conversation_id, turn_id)",
        "(owner_id, created_at DESC, media_id)",
        "(response_id, position)",
    ),
)


class MediaObjects:
    name = "media_objects"
    version = 1
    tables = (MEDIA_OBJECTS,)
    handles: frozenset[type[Payload]] = frozenset(
        {
            ConversationDeleted,
            MediaJobStarted,
            MediaRefused,
            MediaProduced,
            MediaStored,
            MediaRejected,
            MediaFailed,
            MediaRetried,
            MediaExpired,
            MediaDeleted,
        }
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        return fold_each(batch, _fold)


def _fold(changes: RowChanges, seen: VisibleEvent) -> None:
    event, data = seen.event, seen.event.data

    def change(media_id: str, /, **values: Scalar) -> None:
        changes.update(MEDIA_OBJECTS, media_id, event.conversation_id, updated_at=event.occurred_at, **values)

    match data:
        case ConversationDeleted():
            # The keys stay: whoever removes the objects needs them.
            changes.blank(
                MEDIA_OBJECTS,
                event.conversation_id,
                status="deleted",
                url=None,
                sha256=None,
                reason=None,
                message=None,
                updated_at=event.occurred_at,
            )
        case MediaJobStarted():
            _announce(changes, seen, data.media_id, media_type=data.media_type, status="generating")
        case MediaRefused():
            _announce(
                changes,
                seen,
                data.media_id,
                media_type=data.media_type,
                status="refused",
                reason=data.reason,
                message=data.message,
            )
        case MediaProduced(claim=claim):
            _announce(
                changes,
                seen,
                claim.media_id,
                media_type=claim.media_type,
                model_id=claim.model,
                status="uploading",
                key=claim.key,
                format=claim.format,
                content_type=claim.content_type,
                declared_content_type=claim.declared_content_type,
                size_bytes=claim.segments.size_bytes if claim.segments else None,
                sha256=claim.segments.sha256 if claim.segments else None,
                width=claim.width,
                height=claim.height,
                retry=claim.retry,
            )
        case MediaStored():
            change(data.media_id, status="stored", **_stored(data))
        case MediaRejected():
            change(data.media_id, status="rejected", reason=data.reason, message=data.message)
        case MediaFailed():
            change(data.media_id, status="failed", reason=data.reason, message=data.message)
        case MediaRetried():
            change(data.media_id, status="uploading", retry=data.retry, reason=None, message=None)
        case MediaExpired():
            change(data.media_id, status="expired", reason=data.reason)
        case MediaDeleted():
            change(data.media_id, status="deleted", reason=data.reason)


def _announce(changes: RowChanges, seen: VisibleEvent, media_id: str, /, **values: Scalar) -> None:
    event = seen.event
    row: dict[str, Scalar] = {
        **origin(seen, media_id),
        "retry": 0,
        # The place in the answer: rises with the order of appearance.
        "position": event.sequence,
        "created_at": event.occurred_at,
        "updated_at": event.occurred_at,
    }
    changes.insert(MEDIA_OBJECTS, **(row | values))


def _stored(data: MediaStored) -> dict[str, Scalar]:
    found = stored_file(data) | {"url": data.url, "declared_content_type": data.declared_content_type}
    # What the claim said stands where the agent's look at the bytes found nothing.
    told = {name: value for name, value in found.items() if value is not None}
    return told | {"reason": None, "message": None}
