"""Writes a medium's bytes to `media-segments` and claims to `media-requests`."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import idempotent_producer, partition_for
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_SEGMENTS, topic_name
from polylogue.schemas.claims import MediaClaim, SegmentRange, StoreMedia
from polylogue.schemas.codec import request_codec
from polylogue.schemas.envelope import Request

SEGMENT_BYTES = 512 * 1024
IN_FLIGHT = 8  # segments of one medium that wait for their acknowledgement at once
SEND_WITHIN_S = 20.0  # then the producer counts as wedged and is replaced
PAUSE_S = 0.5

_log = get_logger(__name__)


class MediaOutbox:
    """The producer for bytes and claims, shared by all responses of a runner. Bytes come before their claim."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._segments_topic = topic_name(settings, MEDIA_SEGMENTS)
        self._requests_topic = topic_name(settings, MEDIA_REQUESTS)
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()

    async def start(self) -> None:
        self._producer = await self._start_producer()

    async def close(self) -> None:
        if self._producer is not None:
            await _stop(self._producer)
            self._producer = None

    async def write_segments(self, media_id: str, data: bytes, sha256: str) -> SegmentRange:
        """Writes all of a medium and returns where it lies. Tries until the broker takes it or the caller is
        cancelled; a repeated try writes the whole medium again, further on."""
        view = memoryview(data)
        pieces = [view[at : at + SEGMENT_BYTES] for at in range(0, len(view), SEGMENT_BYTES)]
        partition = partition_for(media_id, MEDIA_SEGMENTS.partitions)
        while True:
            producer = await self._current()
            try:
                offsets = await self._send_pieces(producer, media_id, partition, pieces)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._replace(producer, error)
                continue
            return SegmentRange(
                partition=partition,
                first_offset=min(offsets),
                last_offset=max(offsets),
                count=len(pieces),
                size_bytes=len(data),
                sha256=sha256,
            )

    async def send_claim(
        self, claim: MediaClaim, produced_at_ms: int, traceparent: str | None = None
    ) -> None:
        """Asks the media agent to store a medium. Tries until Kafka has it; twice is harmless."""
        value = request_codec.encode(
            Request(
                request_id=f"{claim.media_id}.{claim.retry}",
                data=StoreMedia(claim=claim, produced_at_ms=produced_at_ms, traceparent=traceparent),
            )
        )
        while True:
            producer = await self._current()
            try:
                delivery = producer.send_and_wait(self._requests_topic, value, key=claim.media_id.encode())
                await asyncio.wait_for(delivery, SEND_WITHIN_S)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._replace(producer, error)
                continue
            return

    async def _send_pieces(
        self, producer: AIOKafkaProducer, media_id: str, partition: int, pieces: list[memoryview]
    ) -> list[int]:
        offsets: list[int] = []
        waiting: list[asyncio.Future[object]] = []
        key = media_id.encode()
        try:
            for number, piece in enumerate(pieces):
                headers = [("media_id", key), ("segment", str(number).encode())]
                sending = producer.send(
                    self._segments_topic, bytes(piece), key=key, partition=partition, headers=headers
                )
                waiting.append(await asyncio.wait_for(sending, SEND_WITHIN_S))
                if len(waiting) >= IN_FLIGHT:
                    offsets.append(await _offset(waiting.pop(0)))
            while waiting:
                offsets.append(await _offset(waiting.pop(0)))
        finally:
            for delivery in waiting:
                delivery.add_done_callback(_retrieve)
        return offsets

    async def _current(self) -> AIOKafkaProducer:
        async with self._replacing:
            while self._producer is None:
                try:
                    self._producer = await self._start_producer()
                except (KafkaError, TimeoutError, OSError) as error:
                    _log.warning("broker_unreachable", error=type(error).__name__)
                    await asyncio.sleep(PAUSE_S)
            return self._producer

    async def _replace(self, broken: AIOKafkaProducer, error: BaseException) -> None:
        async with self._replacing:
            if self._producer is broken:
                _log.warning("media_producer_replaced", error=type(error).__name__)
                self._producer = None
                await _stop(broken)

    async def _start_producer(self) -> AIOKafkaProducer:
        # A batch holds one segment; larger ones would pass the topic's max.message.bytes.
        producer = idempotent_producer(self._settings, max_batch_size=SEGMENT_BYTES + 16 * 1024)
        try:
            await asyncio.wait_for(producer.start(), SEND_WITHIN_S)
        except BaseException:
            await _stop(producer)
            raise
        return producer


async def _offset(delivery: asyncio.Future[object]) -> int:
    record = await asyncio.wait_for(asyncio.shield(delivery), SEND_WITHIN_S)
    return int(record.offset)  # type: ignore[attr-defined]  # aiokafka ships no types


def _retrieve(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(producer.stop(), PAUSE_S * 4)
