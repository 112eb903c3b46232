"""Which log a partition of `conversation-events` is, and from where to where it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from polylogue.infra.kafka import admin_client, manual_consumer, started
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

_FIRST_RECORD_BYTES = 64 * 1024  # enough for LogCreated; a broker sends a larger first record all the same


@dataclass(frozen=True)
class LogHead:
    topic: str
    partition: int
    beginning: int
    end: int
    log_id: str | None  # None: offset 0 is gone, or is no LogCreated

    @property
    def empty(self) -> bool:
        """Nobody has named this log yet: it is to be waited for."""
        return self.beginning == self.end == 0


async def list_partitions(settings: Settings) -> list[int]:
    """The partitions of `conversation-events`; none if the topic is missing."""
    async with admin_client(settings) as admin:
        described = await admin.describe_topics([topic_name(settings, CONVERSATION_EVENTS)])
        return sorted(partition["partition"] for partition in described[0]["partitions"])


async def read_heads(settings: Settings, partitions: Iterable[int]) -> dict[int, LogHead]:
    """The heads of the given partitions. Raises KafkaError where the broker does not answer."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    places = [TopicPartition(topic, partition) for partition in sorted(partitions)]
    async with started(manual_consumer(settings, max_partition_fetch_bytes=_FIRST_RECORD_BYTES)) as consumer:
        consumer.assign(places)
        beginnings = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, beginnings[place])
        heads: dict[int, LogHead] = {}
        for place in places:
            beginning, end, log_id = beginnings[place], ends[place], None
            if beginning == 0 < end:
                record = await consumer.getone(place)
                event = event_codec.decode(record.value)
                if record.offset == 0 and isinstance(event, Event) and isinstance(event.data, LogCreated):
                    log_id = event.data.log_id
            heads[place.partition] = LogHead(topic, place.partition, beginning, end, log_id)
        return heads


async def offsets_at(settings: Settings, ends: Mapping[int, int], at_ms: int) -> dict[int, int]:
    """The offset of each partition's first record written at the Unix time or later; its end where there is none."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    async with started(manual_consumer(settings)) as consumer:
        places = {TopicPartition(topic, partition): at_ms for partition in ends}
        found = await consumer.offsets_for_times(places)
        return {
            place.partition: min(ends[place.partition], one.offset if one else ends[place.partition])
            for place, one in found.items()
        }
