"""Writes a medium's bytes to `media-segments` and its claim to `media-requests`: the bytes before the claim."""

from __future__ import annotations

import math

from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_SEGMENTS, topic_name
from polylogue.schemas.claims import MediaClaim, PrepareMedia, SegmentRange, StoreMedia
from polylogue.schemas.codec import request_codec
from polylogue.schemas.envelope import Request
from polylogue.streams.replaceable_producer import ReplaceableProducer
from polylogue.streams.segment_series import SEGMENT_BYTES, SegmentSeries, segment_of, segments_in
from polylogue.streams.segments_ahead import Held

# A batch holds one segment: two would pass the topic's max.message.bytes.
BATCH_BYTES = SEGMENT_BYTES + 16 * 1024


class MediaOutbox:
    """Shared by all responses of a runner. A broker that is away makes callers wait: they are cancelled, or it is back."""

    def __init__(self, settings: Settings) -> None:
        self._producer = ReplaceableProducer(settings, give_up_after_s=math.inf, max_batch_bytes=BATCH_BYTES)
        self.ahead = Held()
        self._segments_topic = topic_name(settings, MEDIA_SEGMENTS)
        self._requests_topic = topic_name(settings, MEDIA_REQUESTS)

    async def start(self) -> None:
        """Raises KafkaError."""
        await self._producer.start()

    async def close(self) -> None:
        await self._producer.stop()

    async def write_segments(self, media_id: str, data: bytes, sha256: str) -> SegmentRange:
        """Writes all of a medium and returns where it lies. A segment may be there twice, at two offsets."""
        series, view = self.series(media_id), memoryview(data)
        await series.write(segments_in(len(data)), lambda number: segment_of(view, number))
        return series.whole(len(data), sha256)

    def series(self, media_id: str) -> SegmentSeries:
        """For a medium whose bytes come bit by bit."""
        return SegmentSeries(self._producer, self._segments_topic, media_id)

    def announce(self, hint: PrepareMedia) -> None:
        """Sends a hint ahead of a claim, for what it is worth."""
        request = Request(request_id=f"{hint.media_id}.prepare", data=hint)
        self._producer.send_unheeded(
            self._requests_topic,
            request_codec.encode(request),
            key=hint.media_id.encode(),
        )

    async def send_claim(
        self, claim: MediaClaim, produced_at_ms: int, traceparent: str | None = None
    ) -> None:
        """Asks the media agent to store a medium. Twice is harmless."""
        request = Request(
            request_id=f"{claim.media_id}.{claim.retry}",
            data=StoreMedia(claim=claim, produced_at_ms=produced_at_ms, traceparent=traceparent),
        )
        await self.send_request(claim.media_id, request)

    async def send_request(self, key: str, request: Request) -> None:
        """Writes one record of `media-requests`."""
        await self._producer.send(self._requests_topic, request_codec.encode(request), key=key.encode())
