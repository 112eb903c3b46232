"""The projection behind the usage page: what each user's models made a day, as sums that hold no content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.events import (
    MediaFailed,
    MediaRefused,
    MediaRejected,
    MediaStored,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
)
from polylogue.schemas.histogram import Histogram

# Since a medium was produced, or tried again, until it was stored.
LATENCY = Histogram("latency_ms")
MEDIA_USAGE_DAILY = Table(
    "media_usage_daily",
    key=("owner_id", "model_id", "media_type", "day"),
    columns={
        "owner_id": "text NOT NULL",
        "model_id": "text NOT NULL",
        "media_type": "text NOT NULL",
        "day": "date NOT NULL",
        "stored": "bigint NOT NULL DEFAULT 0",
        "failed": "bigint NOT NULL DEFAULT 0",
        "size_bytes": "bigint NOT NULL DEFAULT 0",
        "cost_usd_micros": "bigint NOT NULL DEFAULT 0",
        **LATENCY.columns(),
    },
    indexes=("(owner_id, day)", "(day)"),
)


class MediaUsageDaily:
    """Each number counts on the UTC day on which its event was written, and stays when its conversation is deleted."""

    name = "media_usage_daily"
    version = 1
    tables = (MEDIA_USAGE_DAILY,)
    handles: frozenset[type[Payload]] = frozenset(
        {
            MediaRefused,
            MediaStored,
            MediaRejected,
            MediaFailed,
            ResponseCompleted,
            ResponseFailed,
            ResponseCancelled,
        }
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            for media_type, numbers in _numbers(seen):
                changes.add(
                    MEDIA_USAGE_DAILY,
                    owner_id=seen.event.owner_id,
                    model_id=seen.model or "",
                    media_type=media_type,
                    day=seen.day,
                    **numbers,
                )
        return changes


def _numbers(seen: VisibleEvent) -> Iterator[tuple[MediaType, dict[str, int]]]:
    match seen.event.data:
        case MediaStored() as stored:
            numbers = {"stored": 1, "size_bytes": stored.size_bytes} | LATENCY.count(seen.waited_ms)
            yield stored.media_type, numbers
        case MediaRefused() | MediaRejected() | MediaFailed() as failure:
            # One that failed and was stored when it was tried again counts as one of each.
            yield failure.media_type, {"failed": 1}
        case ResponseCompleted() | ResponseFailed() | ResponseCancelled() as end:
            for media_type, share in shares(end.cost_usd_micros or 0, seen.media):
                yield media_type, {"cost_usd_micros": share}


def shares(cost: int, media: Sequence[MediaType]) -> Iterator[tuple[MediaType, int]]:
    """The cost of an answer in even parts for its media; what cannot be parted goes to the first of them."""
    for place, media_type in enumerate(media):
        each, rest = divmod(cost, len(media))
        share = each + (rest if place == 0 else 0)
        if share:
            yield media_type, share
