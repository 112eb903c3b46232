"""The tail: one consumer a process, without a group, assigned once to every partition, from the end of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from polylogue.api.hub import Hub
from polylogue.api.log_names import LogNames, LogNotNamedError
from polylogue.infra.fetch_pace import FetchPace
from polylogue.infra.kafka import client_options, manual_consumer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

POLL_MS = 1000
FETCH_MS = 3
MOST_RECORDS = 5000  # a batch, so that the loop is given back in between
RETRY_S = 1.0

log = get_logger("polylogue.api.tail")


class FetchHold:
    """Lets the broker hold each fetch for its few milliseconds while many small ones would come.

    With few subscribers an event what an event costs is the fetch that brings it. 500 conversations with a reader each
    and 2,000 events a second (`bench sse_fan_out`, load C), held for 5, 4 and 3 ms: 9.5k, 8.4k and 8.0k deliveries a
    CPU-second, and half of them within 6.1, 5.6 and 4.6 ms. Where the hold begins and ends is a choice and not a
    measurement. At rates at which nothing would be joined nobody waits.
    """

    HOLD_ABOVE = 300.0  # fetches a second
    RELEASE_BELOW = 150.0  # records a second: held, there are no more than 200 fetches
    LOOK_EVERY_S = 0.5
    HELD_BYTES = 64 * 1024  # whoever has so much is answered at once

    def __init__(self, consumer: AIOKafkaConsumer, clock: Callable[[], float]) -> None:
        # aiokafka has no way to say so to a running consumer; a test tells when this name is gone.
        self._fetcher: Any = consumer._fetcher  # noqa: SLF001
        self._clock = clock
        self._since, self._fetches, self._records = clock(), 0, 0

    @property
    def held(self) -> bool:
        return bool(self._fetcher._fetch_min_bytes > 1)  # noqa: SLF001

    def saw(self, records: int) -> None:
        self._fetches += 1
        self._records += records
        now = self._clock()
        if (passed := now - self._since) < self.LOOK_EVERY_S:
            return
        if not self.held and self._fetches / passed > self.HOLD_ABOVE:
            self._fetcher._fetch_min_bytes = self.HELD_BYTES  # noqa: SLF001
        elif self.held and self._records / passed < self.RELEASE_BELOW:
            self._fetcher._fetch_min_bytes = 1  # noqa: SLF001
        self._since, self._fetches, self._records = now, 0, 0


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
        consumer = manual_consumer(settings, fetch_max_wait_ms=FETCH_MS)
        try:
            try:
                await consumer.start()
                partitions = await _stand(settings, consumer, topic, hub, names)
            except (KafkaError, OSError, LogNotNamedError) as error:
                explain(str(error) if isinstance(error, LogNotNamedError) else "Kafka does not answer")
                await asyncio.sleep(RETRY_S)
                continue
            explain(None)
            log.info("tail stands", topic=topic, partitions=len(partitions))
            clock = asyncio.get_running_loop().time
            hold = FetchHold(consumer, clock)
            pace = FetchPace(consumer, clock, busy_ms=FETCH_MS)
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
                for partition, brought in batches.items():
                    hub.feed(partition.partition, brought)
                hub.lag = sum(
                    max(0, (consumer.highwater(one) or 0) - hub.positions[one.partition])
                    for one in partitions
                )
                records = sum(map(len, batches.values()))
                hold.saw(records)
                pace.saw(records)
        finally:
            await consumer.stop()


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
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        (description,) = await admin.describe_topics([topic])
        return len(description["partitions"])
    finally:
        await admin.close()
