"""Reads `media-usage` day by day: a day is a fixed range of offsets in each partition, by Kafka's own time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from polylogue.infra.kafka import admin_client, manual_consumer, partitions_of, started
from polylogue.infra.settings import Settings
from polylogue.infra.topics import DAY_MS, HOUR_MS, MEDIA_USAGE, topic_name

POLL_MS = 1000
MOST_RECORDS = 5000  # a batch: what is in memory at once
# A day may still grow for as long: brokers' clocks and ours differ.
GRACE_MS = HOUR_MS


class UsageTopicMissingError(Exception):
    """The message says what to do."""


@dataclass(frozen=True)
class Stretch:
    """Offsets of one partition from `first` up to, and without, `next_offset`."""

    partition: int
    first: int
    next_offset: int


@dataclass(frozen=True)
class Day:
    """`final`: no record can be added to it any more."""

    date: dt.date
    stretches: tuple[Stretch, ...]
    final: bool


class UsageLog:
    def __init__(self, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        self.topic: str = places[0].topic
        self._consumer = consumer
        self._places = places

    async def first_date(self, not_before: dt.date | None = None) -> dt.date | None:
        """The day of the oldest record of that day or later; None where there is none."""
        since = _midnight_ms(not_before) if not_before else 0
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, since))
        stamps = [one.timestamp for one in found.values() if one is not None]
        return dt.datetime.fromtimestamp(min(stamps) / 1000, dt.UTC).date() if stamps else None

    async def day(self, date: dt.date) -> Day:
        """Offsets are looked up by append time, which rises within a partition, so days neither overlap nor leave gaps."""
        begin = _midnight_ms(date)
        firsts = await self._consumer.offsets_for_times(dict.fromkeys(self._places, begin))
        nexts = await self._consumer.offsets_for_times(dict.fromkeys(self._places, begin + DAY_MS))
        ends = await self._consumer.end_offsets(self._places)
        stretches = []
        for place in self._places:
            first = ends[place] if firsts[place] is None else firsts[place].offset
            next_offset = ends[place] if nexts[place] is None else nexts[place].offset
            stretches.append(Stretch(place.partition, first, max(first, next_offset)))
        over = time.time() * 1000 > begin + DAY_MS + GRACE_MS
        return Day(date, tuple(stretches), final=over or None not in nexts.values())

    async def read(self, stretch: Stretch) -> AsyncGenerator[list[ConsumerRecord[bytes, bytes]]]:
        """The records of the stretch, a batch at a time."""
        if stretch.first >= stretch.next_offset:
            return
        place = TopicPartition(self.topic, stretch.partition)
        self._consumer.assign([place])
        self._consumer.seek(place, stretch.first)
        while await self._consumer.position(place) < stretch.next_offset:
            batch = await self._consumer.getmany(place, timeout_ms=POLL_MS, max_records=MOST_RECORDS)
            yield [record for record in batch.get(place, []) if record.offset < stretch.next_offset]


@asynccontextmanager
async def usage_log(settings: Settings) -> AsyncIterator[UsageLog]:
    """Raises UsageTopicMissingError, KafkaError."""
    places = await usage_partitions(settings)
    async with started(manual_consumer(settings)) as consumer:
        consumer.assign(places)
        yield UsageLog(consumer, places)


async def usage_partitions(settings: Settings) -> list[TopicPartition]:
    """Raises UsageTopicMissingError, KafkaError."""
    topic = topic_name(settings, MEDIA_USAGE)
    async with admin_client(settings) as admin:
        try:
            return await partitions_of(admin, topic)
        except UnknownTopicOrPartitionError:
            raise UsageTopicMissingError(
                f"The topic {topic} is missing; run: polylogue topics apply"
            ) from None


def _midnight_ms(date: dt.date) -> int:
    """Never before 1970, where Kafka's times begin."""
    return max(0, int(dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC).timestamp() * 1000))
