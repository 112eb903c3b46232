"""The segments of one medium in `media-segments`: numbered, in their order, under the medium's id."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from polylogue.infra.crash_points import crash_point
from polylogue.infra.kafka import partition_for
from polylogue.infra.topics import MEDIA_SEGMENTS
from polylogue.schemas.claims import SegmentRange
from polylogue.streams.replaceable_producer import Headers, ReplaceableProducer

# With the batch around it below the 1 MiB of a request; half as long, writing takes half as long again.
SEGMENT_BYTES = 960 * 1024


class SegmentSeries:
    """One writer at a time. A broker that is away makes it wait: it is cancelled, or the broker is back; after it was
    cancelled the series is not to be used any more."""

    def __init__(self, producer: ReplaceableProducer, topic: str, media_id: str) -> None:
        self.media_id = media_id
        self._producer = producer
        self._topic = topic
        self._key = media_id.encode()
        self._partition = partition_for(media_id, MEDIA_SEGMENTS.partitions)
        self._offsets: list[int] = []

    @property
    def partition(self) -> int:
        return self._partition

    @property
    def first_offset(self) -> int:
        """Of what is acknowledged; something must be."""
        return min(self._offsets)

    async def write(self, count: int, piece: Callable[[int], bytes]) -> None:
        """Appends so many segments; returns when all are acknowledged. A segment may be there twice, at two offsets."""
        first = len(self._offsets)
        if first == 0:
            crash_point("runner.segments_before")

        def segment(number: int) -> tuple[bytes, Headers]:
            headers = (("media_id", self._key), ("segment", str(first + number).encode()))
            return piece(number), headers

        self._offsets += await self._producer.send_in_order(
            self._topic,
            count,
            segment,
            key=self._key,
            partition=self._partition,
            acknowledged=partial(crash_point, "runner.segment_written"),
        )

    def whole(self, size_bytes: int, sha256: str) -> SegmentRange:
        """Where the medium lies when its last segment is written."""
        crash_point("runner.segments_after")
        return SegmentRange(
            partition=self._partition,
            first_offset=min(self._offsets),
            last_offset=max(self._offsets),
            count=len(self._offsets),
            size_bytes=size_bytes,
            sha256=sha256,
        )


def segments_in(size_bytes: int) -> int:
    return math.ceil(size_bytes / SEGMENT_BYTES)


def segment_of(data: bytes | memoryview, number: int) -> bytes:
    return bytes(data[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES])
