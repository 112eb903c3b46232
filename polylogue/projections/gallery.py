"""The projection behind the gallery: one row for each medium that was stored, with its renditions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Scalar, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import (
    ConversationDeleted,
    MediaDeleted,
    MediaExpired,
    MediaRenditionsStored,
    MediaStored,
    Rendition,
)

GALLERY_ITEMS = Table(
    "gallery_items",
    key="media_id",
    columns={
        "media_id": "text",
        "conversation_id": "text NOT NULL",
        "turn_id": "text NOT NULL",
        "response_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "model_id": "text NOT NULL",
        "media_type": "text NOT NULL",
        "status": "text NOT NULL",
        "key": "text",
        "format": "text NOT NULL",
        "content_type": "text NOT NULL",
        "size_bytes": "bigint NOT NULL",
        "sha256": "text",
        "width": "integer",
        "height": "integer",
        "duration_ms": "integer",
        "renditions": "json",
        "created_at": "timestamptz NOT NULL",
    },
    indexes=(
        "(owner_id, created_at DESC, media_id DESC) WHERE status <> 'deleted'",
        "(conversation_id)",
    ),
)


class Gallery:
    name = "gallery"
    version = 1
    tables = (GALLERY_ITEMS,)
    handles: frozenset[type[Payload]] = frozenset(
        {ConversationDeleted, MediaStored, MediaRenditionsStored, MediaExpired, MediaDeleted}
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            _fold(changes, seen)
        return changes


def _fold(changes: RowChanges, seen: VisibleEvent) -> None:
    event, data = seen.event, seen.event.data

    def change(media_id: str, /, **values: Scalar) -> None:
        changes.update(GALLERY_ITEMS, media_id, event.conversation_id, **values)

    match data:
        case ConversationDeleted():
            changes.remove(GALLERY_ITEMS, event.conversation_id)
        case MediaStored():
            changes.insert(GALLERY_ITEMS, **_item(seen, data))
        case MediaRenditionsStored():
            change(data.media_id, renditions=_encoded(data.renditions))
        case MediaExpired():
            change(data.media_id, status="expired")
        case MediaDeleted():
            # Hidden for good; what could still lead to its bytes goes.
            change(data.media_id, status="deleted", key=None, sha256=None, renditions=None)


def _item(seen: VisibleEvent, data: MediaStored) -> dict[str, Scalar]:
    event = seen.event
    return {
        "media_id": data.media_id,
        "conversation_id": event.conversation_id,
        "turn_id": event.turn_id,
        "response_id": event.response_id,
        "owner_id": event.owner_id,
        "model_id": seen.model,
        "media_type": data.media_type,
        "status": "stored",
        "key": data.key,
        "format": data.format,
        "content_type": data.content_type,
        "size_bytes": data.size_bytes,
        "sha256": data.sha256,
        "width": data.width,
        "height": data.height,
        "duration_ms": data.duration_ms,
        "renditions": _encoded(data.renditions),
        "created_at": event.occurred_at,
    }


def _encoded(renditions: tuple[Rendition, ...]) -> str | None:
    return msgspec.json.encode(renditions).decode() if renditions else None
