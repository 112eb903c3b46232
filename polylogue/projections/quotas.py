"""The projection behind the quotas: what each owner produced and spent a day, and how much of theirs is stored."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.protocol import VisibleEvent, fold_each
from polylogue.projections.rows import RowChanges, Scalar, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim
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
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
)

QUOTA_DAYS = Table(
    "quota_days",
    key=("owner_id", "day"),
    columns={
        "owner_id": "text NOT NULL",
        "day": "date NOT NULL",  # UTC, of the event's time
        "media": "bigint NOT NULL DEFAULT 0",
        "cost_usd_micros": "bigint NOT NULL DEFAULT 0",
    },
)
QUOTA_MEDIA = Table(
    "quota_media",
    key="media_id",
    columns={
        "media_id": "text",
        "conversation_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "original_bytes": "bigint NOT NULL",
        "first_renditions_bytes": "bigint NOT NULL",  # those that came with the original
        "later_renditions_bytes": "bigint NOT NULL",
        "counted": "boolean NOT NULL",  # stored, or on its way
    },
    derived={
        "size_bytes": "bigint GENERATED ALWAYS AS"
        " (original_bytes + first_renditions_bytes + later_renditions_bytes) STORED"
    },
    indexes=("(conversation_id)",),
    readers_indexes=("(owner_id) INCLUDE (size_bytes) WHERE counted",),
)


class QuotaUse:
    """A medium counts from when it is produced: what is on its way takes up room too."""

    name = "quotas"
    version = 1
    tables = (QUOTA_DAYS, QUOTA_MEDIA)
    handles: frozenset[type[Payload]] = frozenset(
        {
            ConversationDeleted,
            MediaProduced,
            MediaStored,
            MediaRejected,
            MediaFailed,
            MediaRetried,
            MediaRenditionsStored,
            MediaExpired,
            MediaDeleted,
            ResponseCompleted,
            ResponseFailed,
            ResponseCancelled,
        }
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        return fold_each(batch, _fold)


def _fold(changes: RowChanges, seen: VisibleEvent) -> None:
    event, data = seen.event, seen.event.data

    def count(**numbers: int) -> None:
        changes.add(QUOTA_DAYS, owner_id=event.owner_id, day=seen.day, **numbers)

    def change(media_id: str, /, **values: Scalar) -> None:
        changes.update(QUOTA_MEDIA, media_id, event.conversation_id, **values)

    match data:
        case MediaProduced(claim=claim):
            count(media=1)
            _begin(changes, seen, claim)
        case MediaStored():
            first = sum(one.size_bytes for one in data.renditions)
            change(data.media_id, original_bytes=data.size_bytes, first_renditions_bytes=first, counted=True)
        case MediaRenditionsStored():
            # Set and not added: a reducer that began later may let it pass twice.
            change(data.media_id, later_renditions_bytes=sum(one.size_bytes for one in data.renditions))
        case MediaRetried():
            change(data.media_id, counted=True)
        case MediaRejected() | MediaFailed() | MediaExpired() | MediaDeleted():
            change(data.media_id, counted=False)
        case ConversationDeleted():
            # The rows stay, so that whoever asks whether a medium was counted is told yes.
            changes.blank(QUOTA_MEDIA, event.conversation_id, counted=False)
        case ResponseCompleted() | ResponseFailed() | ResponseCancelled() if data.cost_usd_micros:
            count(cost_usd_micros=data.cost_usd_micros)


def _begin(changes: RowChanges, seen: VisibleEvent, claim: MediaClaim) -> None:
    changes.insert(
        QUOTA_MEDIA,
        media_id=claim.media_id,
        conversation_id=seen.event.conversation_id,
        owner_id=seen.event.owner_id,
        original_bytes=claim.segments.size_bytes if claim.segments else 0,  # of a link nobody knows it yet
        first_renditions_bytes=0,
        later_renditions_bytes=0,
        counted=True,
    )
