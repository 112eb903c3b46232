"""Ends a media agent that has work and does none: some failures of a consumer show in no other way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import client_options, manual_consumer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

LOOK_TIMEOUT_S = 10.0

log = get_logger(__name__)


class Stillness:
    """Says when there has been lag and no progress for too long. An attempt begun is progress: an outage of S3 for
    minutes is not this process's fault, and restarting would not end it."""

    def __init__(self, limit_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._since = clock()
        self._committed: Mapping[int, int] = {}

    def progress(self) -> None:
        self._since = self._clock()

    def observe(self, ends: Mapping[int, int], committed: Mapping[int, int]) -> bool:
        """Takes the ends and the committed offsets of this process's partitions; True where it stands still."""
        if committed != self._committed or all(end <= committed.get(place, 0) for place, end in ends.items()):
            self._committed = dict(committed)
            self.progress()
        return self._clock() - self._since >= self._limit_s


class Overlooked:
    """Finds the records that were handed out to nobody.

    Faust reads partitions in a thread of its own; what that fetches while a rebalance changes hands may be thrown away
    without being read again, and then nothing comes of its partitions until the next rebalance.
    """

    def __init__(self) -> None:
        self._idle: dict[int, int] = {}

    def observe(
        self, ends: Mapping[int, int], committed: Mapping[int, int], busy: Collection[int]
    ) -> dict[int, int]:
        """Partition and offset from which to read again: a second look in a row finds records that wait, none that is
        worked on, and the same offset."""
        idle = {
            partition: committed[partition]
            for partition, end in ends.items()
            if partition not in busy and committed[partition] < end
        }
        found = {place: offset for place, offset in idle.items() if self._idle.get(place) == offset}
        self._idle = {place: offset for place, offset in idle.items() if place not in found}
        return found


class GroupLag:
    """Looks from outside, with clients of its own: the consumer that is watched may be the one that has failed."""

    def __init__(self, settings: Settings, *, group: str, topic: str) -> None:
        self._group = group
        self._topic = topic
        self._admin = AIOKafkaAdminClient(**client_options(settings))
        self._consumer = manual_consumer(settings)

    async def start(self) -> None:
        await self._admin.start()
        await self._consumer.start()
        # aiokafka cannot close a consumer whose tasks have not begun.
        await asyncio.sleep(0)

    async def stop(self) -> None:
        with suppress(KafkaError):
            await self._consumer.stop()
        with suppress(KafkaError):
            await self._admin.close()

    async def of(self, partitions: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
        """(ends, committed offsets) by partition; what was never committed counts from the start of the log.

        Raises KafkaError or TimeoutError.
        """
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        if not places:
            return {}, {}
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            ends = await self._consumer.end_offsets(places)
            starts = await self._consumer.beginning_offsets(places)
            stored = await self._admin.list_consumer_group_offsets(self._group, partitions=places)
        committed = {
            place.partition: max(starts[place], stored[place].offset if place in stored else -1)
            for place in places
        }
        return {place.partition: end for place, end in ends.items()}, committed


class Worker(Protocol):
    """The consumer that is watched."""

    def assigned(self) -> Collection[int]: ...

    def busy(self) -> Collection[int]:
        """The partitions of which a record is worked on; all of them while they change hands."""
        ...

    async def read_again(self, partition: int, offset: int) -> None: ...


async def watch(stillness: Stillness, lag: GroupLag, worker: Worker, *, every_s: float) -> str:
    """Returns, with the sentence to die with, when the process stands still."""
    overlooked = Overlooked()
    while True:
        await asyncio.sleep(every_s)
        try:
            ends, committed = await lag.of(worker.assigned())
        except (KafkaError, TimeoutError) as error:
            # Without Kafka nobody can work; that is no reason to end.
            log.warning("watchdog_cannot_look", error=type(error).__name__)
            stillness.progress()
            continue
        if stillness.observe(ends, committed):
            behind = sum(max(0, end - committed[partition]) for partition, end in ends.items())
            return f"{behind} claims wait and none was worked on; the process ends so that another takes over"
        for partition, offset in overlooked.observe(ends, committed, worker.busy()).items():
            log.warning("partition_read_again", partition=partition, offset=offset)
            await worker.read_again(partition, offset)
