"""Pooled readers without a group: the records of one conversation in a range of offsets, outside the tail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from polylogue.api.hub import LogTruncatedError
from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings

MOST_READERS = 4  # each holds one connection to each broker and up to 50 MB of fetched records
MOST_RECORDS = 2000  # a batch, so that the loop is given back in between
WAIT_MS = 250
ANSWER_TIMEOUT_S = 10.0  # a broker that sends nothing for so long is away


class LogReaders:
    """At most `MOST_READERS` read at once; the others wait their turn."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._idle: list[AIOKafkaConsumer] = []
        self._turns = asyncio.Semaphore(MOST_READERS)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().stop()

    async def ends(self, partition: int) -> tuple[int, int]:
        """The first offset that is kept and the one after the last. Raises KafkaError."""
        place = TopicPartition(self._topic, partition)
        async with self._reader() as reader:
            first = (await reader.beginning_offsets([place]))[place]
            return first, (await reader.end_offsets([place]))[place]

    async def first_record(self, partition: int) -> ConsumerRecord | None:
        """The oldest record that is kept; None where there is none. Raises KafkaError."""
        first, end = await self.ends(partition)
        if first >= end:
            return None
        place = TopicPartition(self._topic, partition)
        async with self._reader() as reader:
            reader.assign([place])
            reader.seek(place, first)
            async for records in self._until(reader, place, end):
                return records[0]
        return None

    async def read(
        self, partition: int, key: bytes | None, start: int, stop: int
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """The records of `key`, or of all, from `start` to before `stop`. Raises LogTruncatedError, KafkaError."""
        first, _ = await self.ends(partition)
        if start < first:
            raise LogTruncatedError(partition, first)
        place = TopicPartition(self._topic, partition)
        async with self._reader() as reader:
            # A reader has one partition and is told its place at once: what it had fetched for others is dropped.
            reader.assign([place])
            reader.seek(place, start)
            try:
                async for records in self._until(reader, place, stop):
                    wanted = [
                        record
                        for record in records
                        if (key is None or record.key == key) and record.offset < stop
                    ]
                    if wanted:
                        yield wanted
            except OffsetOutOfRangeError:
                raise LogTruncatedError(partition, (await reader.beginning_offsets([place]))[place]) from None

    async def _until(
        self, reader: AIOKafkaConsumer, place: TopicPartition, stop: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        # The position passes transaction markers, which are no records and yet have offsets.
        while (position := await reader.position(place)) < stop:
            batch = await reader.getmany(place, timeout_ms=WAIT_MS, max_records=MOST_RECORDS)
            if records := batch.get(place):
                heard = loop.time()
                yield records
            elif await reader.position(place) == position and loop.time() - heard > ANSWER_TIMEOUT_S:
                raise KafkaError(f"{place.topic}[{place.partition}] gives no records")

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        async with self._turns:
            reader = self._idle.pop() if self._idle else None
            if reader is None:
                reader = manual_consumer(self._settings)
                try:
                    await reader.start()
                except BaseException:  # a cancelled start, too, leaves tasks behind
                    await reader.stop()
                    raise
            try:
                yield reader
            except BaseException:  # whatever went wrong, the next one begins with a reader of its own
                await reader.stop()
                raise
            _rest(reader)
            self._idle.append(reader)


def _rest(reader: AIOKafkaConsumer) -> None:
    """It lets go of what it had fetched, and fetches no more. To unsubscribe would ask for the metadata of every topic
    that the cluster has, which on a cluster that others use too takes longer than to read a conversation."""
    for place in reader.assignment():
        reader.assign([place])
        reader.pause(place)
        reader.seek(place, 0)
