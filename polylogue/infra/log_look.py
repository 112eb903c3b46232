"""A look at a topic from outside any group: where its partitions end, and when a record was written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from polylogue.infra.kafka import client_options, manual_consumer
from polylogue.infra.settings import Settings

_FETCH_BYTES = 64 * 1024  # a broker sends a larger first record all the same
_RECORD_MS = 500  # a record that is there comes in a few milliseconds


class LogLook:
    """Made by `looking_at`."""

    def __init__(self, consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
        self._consumer = consumer
        self._places = {place.partition: place for place in places}

    async def ends(self) -> dict[int, int]:
        """The offset after the last record of each partition. Raises KafkaError."""
        ends = await self._consumer.end_offsets(list(self._places.values()))
        return {place.partition: end for place, end in ends.items()}

    async def written_ms(self, partition: int, offset: int) -> int | None:
        """When the first record from `offset` on was appended (Unix ms); None where there is none. Raises KafkaError."""
        place = self._places[partition]
        self._consumer.seek(place, offset)
        self._consumer.resume(place)
        try:
            found = await self._consumer.getmany(place, timeout_ms=_RECORD_MS, max_records=1)
        finally:
            self._consumer.pause(place)
        return next((int(record.timestamp) for records in found.values() for record in records), None)


@asynccontextmanager
async def looking_at(settings: Settings, topic: str) -> AsyncIterator[LogLook]:
    """Raises KafkaError, also where there is no such topic."""
    places = [TopicPartition(topic, number) for number in await _partitions(settings, topic)]
    consumer = manual_consumer(settings, max_partition_fetch_bytes=_FETCH_BYTES)
    await consumer.start()
    try:
        consumer.assign(places)
        consumer.pause(*places)
        for place in places:
            consumer.seek(place, 0)
        yield LogLook(consumer, places)
    finally:
        await consumer.stop()


async def _partitions(settings: Settings, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if not described["partitions"]:
        raise UnknownTopicOrPartitionError(f"there is no topic {topic}")
    return sorted(partition["partition"] for partition in described["partitions"])
