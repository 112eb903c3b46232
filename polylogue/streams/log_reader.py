"""Reads a finished stretch of one partition, without a group."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from polylogue.infra.kafka import manual_consumer, started
from polylogue.infra.settings import Settings

POLL_MS = 200


async def read_to_end(
    settings: Settings, topic: str, partition: int, *, offset: int | None = None, from_ms: int | None = None
) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
    """Yields the records from `offset`, or from the first one appended at `from_ms` (Unix ms) or later, up to the end
    as it is now. An offset below retention begins at the first record there is.
    """
    place = TopicPartition(topic, partition)
    async with started(manual_consumer(settings)) as consumer:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        start = (await consumer.beginning_offsets([place]))[place]
        if offset is not None:
            start = max(start, offset)
        elif from_ms is not None:
            found = (await consumer.offsets_for_times({place: from_ms}))[place]
            start = end if found is None else found.offset
        consumer.seek(place, start)
        # Transaction markers take offsets and are never handed out, so the position tells where the end is.
        while start < end:
            try:
                records = (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, [])
            except OffsetOutOfRangeError:
                start = (await consumer.beginning_offsets([place]))[place]
                consumer.seek(place, start)
                continue
            for record in records:
                if record.offset < end:
                    yield record
            start = await consumer.position(place)
