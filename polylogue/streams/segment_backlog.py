"""How full `media-segments` is with bytes that no media agent has taken yet.

Kafka removes the oldest bytes of a partition that passes its budget, read or not. Bytes that were stored long ago are
no loss; what counts lies behind the oldest claim that is not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import client_options, manual_consumer, partitions_of
from polylogue.infra.log_dirs import partition_bytes
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_SEGMENTS, topic_name
from polylogue.schemas.claims import RetryMedia, StoreMedia
from polylogue.schemas.codec import request_codec
from polylogue.schemas.envelope import Request
from polylogue.streams.segment_series import SEGMENT_BYTES

LOOK_TIMEOUT_S = 10.0
# A claim is sent when its bytes are written, so those of claims that were sent at the same time begin a little before.
WRITTEN_BEFORE_MS = 5_000
UNLIMITED = -1
FETCH_BYTES = 64 * 1024  # one record of each partition is wanted


@dataclass(frozen=True)
class Backlog:
    """Bytes that wait, by partition of `media-segments`, and the budget of each; None where there is none."""

    waiting: Mapping[int, int]
    budget_bytes: int | None

    @property
    def fraction(self) -> float:
        """Of the fullest partition: that is where Kafka removes first."""
        if self.budget_bytes is None:
            return 0.0
        return max(self.waiting.values(), default=0) / max(1, self.budget_bytes)


@dataclass(frozen=True)
class Span:
    """A partition of `media-segments`."""

    begin: int
    end: int
    size_bytes: int | None = None  # on disk; None where nobody says

    def bytes_from(self, offset: int) -> int:
        """An estimate: records are as large as they are on the average, or as large as they can be."""
        records = self.end - max(self.begin, offset)
        if self.size_bytes is None:
            return records * SEGMENT_BYTES
        return records * self.size_bytes // max(1, self.end - self.begin)


class SegmentBacklog:
    """Looks from outside, with clients of its own."""

    def __init__(self, settings: Settings, *, group: str) -> None:
        self._settings = settings
        self._group = group
        self._segments = topic_name(settings, MEDIA_SEGMENTS)
        self._requests = topic_name(settings, MEDIA_REQUESTS)
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()

    async def measure(self) -> Backlog:
        """Raises KafkaError or TimeoutError; after an error the clients are made anew."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                return await self._measure()
        except (KafkaError, TimeoutError):
            await self.stop()
            raise

    async def _measure(self) -> Backlog:
        admin, consumer = await self._clients()
        budget = await self._budget(admin)
        first = await self._first_waiting(admin, consumer)
        if budget is None or not first:
            return Backlog({}, budget)
        needed: dict[int, int] = {}
        for record in first:
            request = request_codec.decode(record.value)
            if isinstance(request, Request) and isinstance(request.data, StoreMedia | RetryMedia):
                segments = request.data.claim.segments
                if segments is not None:
                    offset = min(segments.first_offset, needed.get(segments.partition, segments.first_offset))
                    needed[segments.partition] = offset
        since_ms = min(record.timestamp for record in first) - WRITTEN_BEFORE_MS
        places = await partitions_of(admin, self._segments)
        found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        spans = await self._spans(admin, consumer, places)
        waiting = {}
        for place in places:
            span, at = spans[place.partition], found[place]
            offset = min(at.offset if at else span.end, needed.get(place.partition, span.end))
            waiting[place.partition] = span.bytes_from(offset)
        return Backlog(waiting, budget)

    async def _clients(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings))
            await self._admin.start()
        if self._consumer is None:
            self._consumer = manual_consumer(self._settings, max_partition_fetch_bytes=FETCH_BYTES)
            await self._consumer.start()
        return self._admin, self._consumer

    async def _budget(self, admin: AIOKafkaAdminClient) -> int | None:
        asked = ConfigResource(ConfigResourceType.TOPIC, self._segments)
        for response in await admin.describe_configs([asked]):
            for name, value, *_ in response.resources[0][4]:
                if name == "retention.bytes" and int(value) != UNLIMITED:
                    return int(value)
        return None

    async def _first_waiting(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer
    ) -> list[ConsumerRecord[bytes, bytes]]:
        """The oldest unacknowledged record of each partition of `media-requests` that has one."""
        places = await partitions_of(admin, self._requests)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        stored = await admin.list_consumer_group_offsets(self._group, partitions=places)
        starts = {
            place: max(begins[place], stored[place].offset if place in stored else 0) for place in places
        }
        wanted = {place for place in places if starts[place] < ends[place]}
        found: list[ConsumerRecord[bytes, bytes]] = []
        if not wanted:
            return found
        consumer.assign(list(wanted))
        for place in wanted:
            consumer.seek(place, starts[place])
        while wanted:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                if place in wanted and records:
                    wanted.discard(place)
                    consumer.pause(place)
                    found.append(records[0])
        # All are paused now. To unsubscribe would ask for the metadata of every topic of the cluster.
        return found

    async def _spans(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, places: list[TopicPartition]
    ) -> dict[int, Span]:
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        try:
            sizes = await partition_bytes(admin, self._segments, len(places))
        except KafkaError:
            sizes = {}  # it takes a right that not every cluster gives; the largest there can be is assumed then
        return {
            place.partition: Span(begins[place], ends[place], sizes.get(place.partition)) for place in places
        }
