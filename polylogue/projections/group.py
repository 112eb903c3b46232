"""The consumer group of a version: its members share the partitions; where to begin is the tables' to say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from structlog.stdlib import BoundLogger

from polylogue.infra import kafka
from polylogue.infra.settings import Settings
from polylogue.projections.protocol import Projection

# A record ends a fetch. Only a partition after a seek waits out the one under way, which is once in an assignment: with
# 50 ms nine followers asked 180 times a second while a turn was running, for nothing.
FETCH_MAX_WAIT_MS = 250
ANSWER_WITHIN_S = 5.0  # nothing of what the broker is asked here is worth waiting for longer


def group_id(settings: Settings, projection: Projection) -> str:
    return f"{settings.kafka_topic_prefix}projector-{projection.name}-v{projection.version}"


def group_consumer(settings: Settings, projection: Projection) -> AIOKafkaConsumer:
    """A member that is not started; the caller subscribes it and seeks what it is assigned."""
    return kafka.group_consumer(settings, group_id(settings, projection), fetch_max_wait_ms=FETCH_MAX_WAIT_MS)


def lag(consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> int:
    """Records before the positions, by what the broker last said."""
    assigned = consumer.assignment()
    return sum(
        max(0, (consumer.highwater(place) or 0) - offset)
        for place, offset in positions.items()
        if place in assigned
    )


async def report(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], log: BoundLogger) -> None:
    """Commits the group's offsets, by which others see the lag; nothing is lost if that fails."""
    if not offsets:
        return
    try:
        await asyncio.wait_for(consumer.commit(dict(offsets)), ANSWER_WITHIN_S)
    except (KafkaError, TimeoutError) as error:
        log.debug("lag_not_reported", reason=type(error).__name__)


async def leave_group(consumer: AIOKafkaConsumer, log: BoundLogger) -> None:
    """So that the others need not wait for its session's end."""
    try:
        await asyncio.wait_for(consumer.stop(), ANSWER_WITHIN_S)
    except TimeoutError:
        log.warning("group_not_left", reason="the broker did not answer in time")
