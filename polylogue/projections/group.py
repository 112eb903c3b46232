"""The consumer group of a version: its members share the partitions; where to begin is the tables' to say."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from polylogue.infra.kafka import client_options
from polylogue.infra.settings import Settings
from polylogue.projections.protocol import Projection

FETCH_MAX_WAIT_MS = 50  # a partition after a seek waits out the fetch under way


def group_id(settings: Settings, projection: Projection) -> str:
    return f"{settings.kafka_topic_prefix}projector-{projection.name}-v{projection.version}"


def group_consumer(settings: Settings, projection: Projection) -> AIOKafkaConsumer:
    """A member that is not started; the caller subscribes it and seeks what it is assigned."""
    session_ms = settings.kafka_session_timeout_ms
    return AIOKafkaConsumer(
        **client_options(settings),
        group_id=group_id(settings, projection),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_uncommitted",  # the runner's transaction is a fence, not a unit
        # Keeps nothing on the class, unlike the sticky one.
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        heartbeat_interval_ms=1000,
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
