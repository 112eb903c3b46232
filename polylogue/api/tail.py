"""The tail: one consumer a process, without a group, assigned once to every partition, from the end of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from polylogue.api.catch_up import LogReaders
from polylogue.api.hub import Hub
from polylogue.infra.kafka import client_options, manual_consumer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

POLL_MS = 1000
MOST_RECORDS = 5000  # a batch, so that the loop is given back in between
RETRY_S = 1.0

log = get_logger("polylogue.api.tail")


class LogNotNamedError(Exception):
    """The topic is missing, or a partition has no LogCreated; the message says what to do."""


async def run_tail(
    settings: Settings, topic: str, hub: Hub, readers: LogReaders, explain: Callable[[str | None], None]
) -> None:
    """Feeds the hub until cancelled. Tries again until it stands, and `explain`s what it waits for.

    Once it stands it is never assigned anew: that would move it to the end and lose records. It outlives a broker's
    restart; what it cannot outlive is raised, and ends the process.
    """
    while True:
        consumer = manual_consumer(settings)
        try:
            try:
                await consumer.start()
                partitions = await _stand(settings, consumer, topic, hub, readers)
            except (KafkaError, OSError, LogNotNamedError) as error:
                explain(str(error) if isinstance(error, LogNotNamedError) else "Kafka does not answer")
                await asyncio.sleep(RETRY_S)
                continue
            explain(None)
            log.info("tail stands", topic=topic, partitions=len(partitions))
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
                for partition, records in batches.items():
                    hub.feed(partition.partition, records)
        finally:
            await consumer.stop()


async def _stand(
    settings: Settings, consumer: AIOKafkaConsumer, topic: str, hub: Hub, readers: LogReaders
) -> list[TopicPartition]:
    if topic not in await consumer.topics():
        raise LogNotNamedError(f"the topic {topic} is missing; run: polylogue topics apply")
    count = await _partition_count(settings, topic)
    log_ids = {number: await _log_id(topic, number, readers) for number in range(count)}
    partitions = [TopicPartition(topic, number) for number in log_ids]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    positions = {partition.partition: await consumer.position(partition) for partition in partitions}
    hub.begin(log_ids, positions)
    return partitions


async def _partition_count(settings: Settings, topic: str) -> int:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        (description,) = await admin.describe_topics([topic])
        return len(description["partitions"])
    finally:
        await admin.close()


async def _log_id(topic: str, partition: int, readers: LogReaders) -> str:
    record = await readers.first_record(partition)
    event = event_codec.decode(record.value) if record is not None else None
    if not isinstance(event, Event) or not isinstance(event.data, LogCreated):
        raise LogNotNamedError(f"{topic}[{partition}] has no name yet; run: polylogue topics apply")
    return event.data.log_id
