"""The projection behind the gallery: one row for each medium that was stored, with its renditions."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.media_rows import ORIGIN, origin, stored_file
from polylogue.projections.protocol import VisibleEvent, fold_each
from polylogue.projections.rows import RowChanges, Scalar, Table, json_text
from polylogue.schemas.base import Payload
from polylogue.schemas.events import (
    ConversationDeleted,
    MediaDeleted,
    MediaExpired,
    MediaRenditionsStored,
    MediaStored,
)

GALLERY_ITEMS = Table(
    "gallery_items",
    key="media_id",
    columns={
        **ORIGIN,
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
    indexes=("(conversation_id)",),
    readers_indexes=("(owner_id, created_at DESC, media_id DESC) WHERE status <> 'deleted'",),
)


class Gallery:
    name = "gallery"
    version = 1
    tables = (GALLERY_ITEMS,)
    handles: frozenset[type[Payload]] = frozenset(
        {ConversationDeleted, MediaStored, MediaRenditionsStored, MediaExpired, MediaDeleted}
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        return fold_each(batch, _fold)


def _fold(changes: RowChanges, seen: VisibleEvent) -> None:
    event, data = seen.event, seen.event.data

    def change(media_id: str, /, **values: Scalar) -> None:
        changes.update(GALLERY_ITEMS, media_id, event.conversation_id, **values)

    match data:
        case ConversationDeleted():
            changes.remove(GALLERY_ITEMS, event.conversation_id)
        case MediaStored():
            changes.insert(
                GALLERY_ITEMS,
                **origin(seen, data.media_id),
                media_type=data.media_type,
                status="stored",
                **stored_file(data),
                renditions=json_text(data.renditions) if data.renditions else None,
                created_at=event.occurred_at,
            )
        case MediaRenditionsStored():
            change(data.media_id, renditions=json_text(data.renditions))
        case MediaExpired():
            change(data.media_id, status="expired")
        case MediaDeleted():
            # Hidden for good; what could still lead to its bytes goes.
            change(data.media_id, status="deleted", key=None, sha256=None, renditions=None)
