"""Reads the bytes of one medium out of `media-segments` into a spool, by offset and without a group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_SEGMENTS, topic_name
from polylogue.media.parts import part_bytes
from polylogue.media.spool import Spool
from polylogue.schemas.claims import SegmentRange

MEDIA_ID, SEGMENT = "media_id", "segment"  # headers of a segment
FETCH_BYTES = 4 * 1024 * 1024
POLL_S = 1.0
FOLLOW_WAIT_MS = 100  # a record ends it
SILENCE_S = 25.0  # no record for so long: this attempt has failed


@dataclass(frozen=True)
class Spooled:
    """What was read; `complete` says whether every segment was there. Whoever gets it closes the spool."""

    spool: Spool
    complete: bool


async def always() -> bool:
    return True


@dataclass(frozen=True)
class Gone:
    """Some of the bytes are not in the log: retention took them, or they never were there."""

    reason: Literal["expired", "missing_segments"]


class SegmentReader:
    def __init__(self, settings: Settings, *, progress: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._topic = topic_name(settings, MEDIA_SEGMENTS)
        self._progress = progress

    async def read(
        self,
        media_id: str,
        segments: SegmentRange,
        *,
        wanted: Callable[[], Awaitable[bool]] = always,
        arrived: Callable[[Spool], None] = lambda _: None,
    ) -> Spooled | Gone | None:
        """One attempt. `wanted` is asked while the bytes are on their way; None where it says no. `arrived` is called
        whenever the spool has grown.

        Raises KafkaError or TimeoutError where Kafka does not answer, and what `wanted` raises.
        """
        place = TopicPartition(self._topic, segments.partition)
        async with self._consumer() as consumer:
            # Before the offsets: of a topic that it does not know yet it asks for them 100 ms later.
            consumer.assign([place])
            consumer.seek(place, segments.first_offset)
            async with asyncio.timeout(SILENCE_S):
                starts, ends = await asyncio.gather(
                    consumer.beginning_offsets([place]), consumer.end_offsets([place])
                )
            gone = _gone(segments, starts[place], ends[place])
            asked = asyncio.ensure_future(wanted())
            asked.add_done_callback(_look_at)
            if gone is not None:
                return gone if await asyncio.shield(asked) else None
            try:
                return await self._spool(
                    consumer,
                    place,
                    SegmentCollector(media_id, segments, Spool(part_bytes(segments.size_bytes))),
                    arrived,
                    asked,
                )
            except OffsetOutOfRangeError:
                return Gone("expired")  # retention overtook the read

    async def follow(self, first_offset: int, collected: SegmentCollector) -> AsyncGenerator[None]:
        """Collects what is in the log of a medium from there on, and what is still being written, until nobody asks for
        more; returns when it has grown.

        Raises KafkaError, and TimeoutError where nothing has come for a while.
        """
        place = TopicPartition(self._topic, collected.partition)
        async with self._consumer(fetch_max_wait_ms=FOLLOW_WAIT_MS) as consumer:
            consumer.assign([place])
            consumer.seek(place, first_offset)
            while True:
                records = (await consumer.getmany(place, timeout_ms=int(POLL_S * 1000))).get(place, [])
                if records:
                    await collected.add_beside(records)
                    yield
                else:
                    collected.wait(POLL_S)

    @asynccontextmanager
    async def _consumer(self, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
        """A new one each time: aiokafka may never end a consumer that has just lost its assignment."""
        consumer = manual_consumer(
            self._settings,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            check_crcs=False,  # the SHA-256 of the whole says more
            **options,
        )
        try:
            async with asyncio.timeout(SILENCE_S):
                await consumer.start()
            yield consumer
        finally:
            await _stop(consumer)

    async def _spool(
        self,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        collected: SegmentCollector,
        arrived: Callable[[Spool], None],
        wanted: asyncio.Future[bool],
    ) -> Spooled | None:
        try:
            while not collected.ended and not (wanted.done() and not wanted.result()):
                batch = await consumer.getmany(place, timeout_ms=int(POLL_S * 1000))
                records = batch.get(place, [])
                if records:
                    self._progress()
                    await collected.add_beside(records)
                    arrived(collected.spool)
                elif await consumer.position(place) > collected.last_offset:
                    break
                else:
                    collected.wait(POLL_S)
            if await asyncio.shield(wanted):
                return collected.result()
            collected.spool.close()
            return None
        except BaseException:
            collected.spool.close()
            raise


def _gone(segments: SegmentRange, start: int, end: int) -> Gone | None:
    if start > segments.first_offset:
        return Gone("expired")
    return Gone("missing_segments") if end <= segments.last_offset else None


def _look_at(asked: asyncio.Future[bool]) -> None:
    """Nobody waits for it where the read has failed first."""
    if not asked.cancelled():
        asked.exception()


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Of a consumer whose tasks have hardly begun, aiokafka lets their cancellation out as if it were ours."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


class SegmentCollector:
    """The segments of one medium in order; doubles and other media's are passed over."""

    def __init__(self, media_id: str, segments: SegmentRange, spool: Spool | None = None) -> None:
        self._media_id = media_id.encode()
        self._segments = segments
        self._next = 0
        self.spool = spool or Spool()
        self.adding = False  # also for ever where `add_beside` was cancelled: its thread goes on
        self.last_offset = segments.last_offset
        self.ended = False
        self._silent_s = 0.0

    @property
    def partition(self) -> int:
        return self._segments.partition

    @property
    def whole(self) -> bool:
        return self._next >= self._segments.count

    def known(self, segments: SegmentRange) -> None:
        """Says how long a medium is that was collected without knowing it."""
        self._segments = segments

    def wait(self, seconds: float) -> None:
        """Nothing came for so long. Raises TimeoutError when it has been silent for too long."""
        self._silent_s += seconds
        if self._silent_s >= SILENCE_S:
            raise TimeoutError("no segment came")

    async def add_beside(self, records: Sequence[ConsumerRecord[Any, bytes]]) -> None:
        """As `add`, in a thread: hashing and writing take milliseconds a megabyte, which others would wait for."""
        self.adding = True
        await asyncio.to_thread(self.add, records)
        self.adding = False

    def add(self, records: Sequence[ConsumerRecord[Any, bytes]]) -> None:
        self._silent_s = 0.0
        for record in records:
            if record.offset > self._segments.last_offset:
                self.ended = True
                return
            headers = dict(record.headers)
            # A writer that repeats segments repeats them in order, so the first one that fits is the right one.
            if (
                headers.get(MEDIA_ID) == self._media_id
                and headers.get(SEGMENT) == str(self._next).encode()
                and record.value is not None
            ):
                self.spool.write(record.value)
                self._next += 1
            # What is larger than announced is refused whatever follows; it need not fill the disk first.
            if (
                record.offset == self._segments.last_offset
                or self.spool.size_bytes > self._segments.size_bytes
            ):
                self.ended = True
                return

    def result(self) -> Spooled:
        return Spooled(self.spool, complete=self.whole)
