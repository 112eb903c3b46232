"""The tail: one consumer a process, without a group, assigned once to every partition, from the end of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from polylogue.api.hub import Hub
from polylogue.api.log_names import LogNames, LogNotNamedError
from polylogue.api.tail_pace import FLOWING_MS, TailPace
from polylogue.infra.kafka import admin_client, manual_consumer, started
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

POLL_MS = 1000
MOST_RECORDS = 5000  # a batch, so that the loop is given back in between
RETRY_S = 1.0

log = get_logger("polylogue.api.tail")


async def run_tail(
    settings: Settings,
    topic: str,
    hub: Hub,
    names: LogNames,
    explain: Callable[[str | None], None],
) -> None:
    """Feeds the hub until cancelled. Tries again until it stands, and `explain`s what it waits for.

    Once it stands it is never assigned anew: that would move it to the end and lose records. It outlives a broker's
    restart; what it cannot outlive is raised, and ends the process.
    """
    while True:
        async with AsyncExitStack() as stack:
            try:
                made = manual_consumer(settings, fetch_max_wait_ms=FLOWING_MS)
                consumer = await stack.enter_async_context(started(made))
                partitions = await _stand(settings, consumer, topic, hub, names)
            except (KafkaError, OSError, LogNotNamedError) as error:
                explain(str(error) if isinstance(error, LogNotNamedError) else "Kafka does not answer")
                await asyncio.sleep(RETRY_S)
                continue
            explain(None)
            log.info("tail stands", topic=topic, partitions=len(partitions))
            clock = asyncio.get_running_loop().time
            pace = TailPace(consumer, clock)
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
                before = hub.delivered
                for partition, brought in batches.items():
                    hub.feed(partition.partition, brought)
                hub.lag = await lag_of(consumer, hub, partitions)
                pace.saw(sum(map(len, batches.values())), hub.delivered - before)


async def lag_of(consumer: AIOKafkaConsumer, hub: Hub, partitions: list[TopicPartition]) -> int:
    """Records that were not read yet. A log often ends with markers of transactions, which have offsets and are none."""
    lag = 0
    for one in partitions:
        end = consumer.highwater(one) or 0
        if end > hub.positions[one.partition]:
            lag += max(0, end - await consumer.position(one))
    return lag


async def _stand(
    settings: Settings,
    consumer: AIOKafkaConsumer,
    topic: str,
    hub: Hub,
    names: LogNames,
) -> list[TopicPartition]:
    count = await _partition_count(settings, topic)
    if not count:
        raise LogNotNamedError(f"the topic {topic} is missing; run: polylogue topics apply")
    log_ids = await names(count)
    partitions = [TopicPartition(topic, number) for number in log_ids]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    positions = {partition.partition: await consumer.position(partition) for partition in partitions}
    hub.begin(log_ids, positions)
    return partitions


async def _partition_count(settings: Settings, topic: str) -> int:
    """0 where there is no such topic."""
    async with admin_client(settings) as admin:
        (description,) = await admin.describe_topics([topic])
        return len(description["partitions"])
