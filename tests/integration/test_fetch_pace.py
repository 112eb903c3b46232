"""While nothing comes a consumer's fetches are long, and no record waits for one of them."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition

from polylogue.infra.fetch_pace import FetchPace
from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, topic_name
from tests.support.log import PARTITIONS, open_log

pytestmark = pytest.mark.stack


LONG_MS = 20_000  # a record that waited for such a fetch could not be overlooked


class SoonQuiet(FetchPace):
    """Its fetches grow long at once."""

    QUIET_AFTER_S = 0.2


async def test_no_record_waits_for_a_long_fetch(prepared: Settings) -> None:
    places = [TopicPartition(topic_name(prepared, COMMANDS), number) for number in range(PARTITIONS)]
    consumer = manual_consumer(prepared)
    async with consumer, open_log(prepared) as log:
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        pace = SoonQuiet(consumer, asyncio.get_running_loop().time, busy_ms=5, quiet_ms=LONG_MS)
        seen: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        resting = asyncio.Event()

        async def read() -> None:
            while True:
                batches = await consumer.getmany(timeout_ms=100)
                pace.saw(sum(map(len, batches.values())))
                for place, records in batches.items():
                    for record in records:
                        seen.put_nowait((place.partition, record.value))
                if consumer._fetcher._fetch_max_wait_ms == LONG_MS:
                    resting.set()

        async def say(partition: int, value: bytes) -> None:
            await log.send(COMMANDS, value, partition=partition)
            async with asyncio.timeout(LONG_MS / 2000):
                assert await seen.get() == (partition, value)

        reading = asyncio.create_task(read())
        try:
            for first in range(PARTITIONS):
                resting.clear()
                await asyncio.wait_for(resting.wait(), 60)
                await asyncio.sleep(0)  # the next fetch, a long one, is sent
                await say(first, b"first")
                for partition in range(PARTITIONS):
                    await say(partition, b"behind it")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
