"""Kafka clients as the traps of aiokafka require them, and the one rule that maps a key to a partition."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka.conn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import for_code
from aiokafka.partitioner import murmur2

from polylogue.infra.settings import Settings

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer)

FETCH_MAX_WAIT_MS = 5  # a resumed partition waits out the fetch under way; 500 by default

# How far a socket is read, whether anybody has asked for so much. With aiokafka's 64 KiB a large fetch is stopped and begun
# again for each of them: 4 MiB of media segments took 25 to 30 ms, and 14 with this. It can be said nowhere but there; a
# test tells when the name is gone.
READ_AHEAD_BYTES = 4 * 1024 * 1024
aiokafka.conn.READER_LIMIT = READ_AHEAD_BYTES


def partition_for(key: str, partitions: int) -> int:
    """The partition of a key, as Kafka's default partitioner chooses it."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the cluster. Raises SettingsError where no server is named."""
    settings.require("kafka_bootstrap_servers")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    if settings.kafka_security_protocol.startswith("SASL"):
        settings.require("kafka_sasl_username", "kafka_sasl_password")
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        password = settings.kafka_sasl_password
        options["sasl_plain_password"] = password.get_secret_value() if password else None
    return options


def idempotent_producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """A producer with acks=all and idempotence; keep many sends in flight, put a deadline around each wait."""
    defaults: dict[str, Any] = {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": 0,
        "max_request_size": 1024 * 1024,
    }
    return AIOKafkaProducer(**client_options(settings), **(defaults | options))


def manual_consumer(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """A consumer without a group: the caller assigns once, awaits every position, and commits nothing.

    `conversation-events` is read uncommitted: the runner's transaction is a fence, not a unit.
    """
    defaults: dict[str, Any] = {
        "group_id": None,
        "enable_auto_commit": False,
        "isolation_level": "read_uncommitted",
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
        "auto_offset_reset": "none",
    }
    return AIOKafkaConsumer(**client_options(settings), **(defaults | options))


def group_consumer(settings: Settings, group_id: str, **options: Any) -> AIOKafkaConsumer:
    """A member of a group, not started: the caller subscribes it, and it commits nothing but what it is told to.

    `conversation-events` is read uncommitted: the runner's transaction is a fence, not a unit.
    """
    session_ms = settings.kafka_session_timeout_ms
    defaults: dict[str, Any] = {
        "enable_auto_commit": False,
        "isolation_level": "read_uncommitted",
        "auto_offset_reset": "none",
        # Keeps nothing on the class, unlike the sticky one.
        "partition_assignment_strategy": (RoundRobinPartitionAssignor,),
        "session_timeout_ms": session_ms,
        "rebalance_timeout_ms": session_ms,
        "heartbeat_interval_ms": 1000,
    }
    return AIOKafkaConsumer(**client_options(settings), group_id=group_id, **(defaults | options))


async def start_or_stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Starts it. Where it cannot start, or is cancelled meanwhile, it is stopped: it has tasks and sockets by then."""
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise


@asynccontextmanager
async def started(client: Client) -> AsyncIterator[Client]:
    """From its start to its stop, also where it cannot start: by then it has sockets that nobody else would close."""
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Started, and closed at the end."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """In their order. Raises KafkaError; UnknownTopicOrPartitionError where there is no such topic."""
    (described,) = await admin.describe_topics([topic])
    if described["error_code"]:
        raise for_code(described["error_code"])(topic)
    return [
        TopicPartition(topic, number)
        for number in sorted(one["partition"] for one in described["partitions"])
    ]
