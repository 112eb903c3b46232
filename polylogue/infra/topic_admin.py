"""`topics apply` and `topics check`: makes the cluster match the catalogue, and refuses what cannot be mended silently."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from polylogue.infra.kafka import client_options, idempotent_producer, manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, Topic, catalogue, topic_name
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

SYSTEM_OWNER = "system"
IMMUTABLE_CONFIG = "cleanup.policy"
_TOPIC_ALREADY_EXISTS = 36  # Kafka protocol error code


class TopicMismatchError(Exception):
    """A topic differs from the catalogue in a way that nobody may mend silently; the message names both values."""


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def apply_topics(
    settings: Settings, *, partitions: int | None = None, replication_factor: int = 1
) -> list[str]:
    """Creates what is missing, mends settings that may change, names each new log. Returns one line a change.

    Raises TopicMismatchError before anything is changed.
    """
    wanted = catalogue(partitions)
    changes: list[str] = []
    async with _admin(settings) as admin:
        existing = await _partition_counts(admin)
        _refuse_partition_differences(settings, wanted, existing)
        present = [topic for topic in wanted if topic_name(settings, topic) in existing]
        differing = await _config_differences(admin, settings, present)
        for topic in wanted:
            name = topic_name(settings, topic)
            if name in existing:
                continue
            await _create(admin, name, topic, replication_factor)
            changes.append(f"created {name} with {topic.partitions} partitions")
        for topic, config in differing.items():
            name = topic_name(settings, topic)
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(topic.config))]
            )
            changes.append(f"set {name} " + ", ".join(f"{key}={topic.config[key]}" for key in config))
        count = (await _partition_counts(admin))[topic_name(settings, CONVERSATION_EVENTS)]
    changes += await _name_logs(settings, count)
    return changes


async def check_topics(settings: Settings) -> list[str]:
    """Returns one line for each missing topic or differing setting; an empty list means all is well.

    Raises TopicMismatchError as `apply_topics` does.
    """
    async with _admin(settings) as admin:
        existing = await _partition_counts(admin)
        # commands and conversation-events may have been created with another number: they only have to agree.
        chosen = existing.get(topic_name(settings, CONVERSATION_EVENTS))
        wanted = catalogue(chosen)
        _refuse_partition_differences(settings, wanted, existing)
        missing = [topic for topic in wanted if topic_name(settings, topic) not in existing]
        findings = [
            f"{topic_name(settings, topic)} is missing; run: polylogue topics apply" for topic in missing
        ]
        present = [topic for topic in wanted if topic not in missing]
        for topic, config in (await _config_differences(admin, settings, present)).items():
            findings += [
                f"{topic_name(settings, topic)} has {key}={value}, the catalogue says {topic.config[key]}"
                for key, value in config.items()
            ]
    return findings


async def _create(admin: AIOKafkaAdminClient, name: str, topic: Topic, replication_factor: int) -> None:
    response = await admin.create_topics(
        [NewTopic(name, topic.partitions, replication_factor, topic_configs=dict(topic.config))]
    )
    for error in response.topic_errors:
        if error[1] not in (0, _TOPIC_ALREADY_EXISTS):
            raise for_code(error[1])(f"{name} could not be created")


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    names = await admin.list_topics()
    described = await admin.describe_topics(list(names)) if names else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


def _refuse_partition_differences(
    settings: Settings, wanted: Sequence[Topic], existing: dict[str, int]
) -> None:
    for topic in wanted:
        name = topic_name(settings, topic)
        found = existing.get(name, topic.partitions)
        if found != topic.partitions:
            raise TopicMismatchError(
                f"{name} has {found} partitions, the catalogue says {topic.partitions}; the number is fixed once "
                "records are written: name the existing number with --partitions, or use another KAFKA_TOPIC_PREFIX."
            )


async def _config_differences(
    admin: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic]
) -> dict[Topic, dict[str, str]]:
    """The settings that differ, with the cluster's values. Raises TopicMismatchError for the clean-up policy."""
    differing: dict[Topic, dict[str, str]] = {}
    for topic in topics:
        name = topic_name(settings, topic)
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        found = {entry[0]: entry[1] for response in responses for entry in response.resources[0][4]}
        difference = {
            key: found[key] for key, value in topic.config.items() if found.get(key, value) != value
        }
        if IMMUTABLE_CONFIG in difference:
            raise TopicMismatchError(
                f"{name} has {IMMUTABLE_CONFIG}={difference[IMMUTABLE_CONFIG]}, the catalogue says "
                f"{topic.config[IMMUTABLE_CONFIG]}; changing it would lose records: set it back by hand, or use "
                "another KAFKA_TOPIC_PREFIX."
            )
        if difference:
            differing[topic] = difference
    return differing


async def _name_logs(settings: Settings, count: int) -> list[str]:
    """Writes LogCreated as the first record of every empty partition of `conversation-events`."""
    name = topic_name(settings, CONVERSATION_EVENTS)
    consumer = manual_consumer(settings)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, partition) for partition in range(count)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    empty = [partition.partition for partition, end in ends.items() if end == 0]
    if not empty:
        return []
    log_id = secrets.token_hex(4)
    record = event_codec.encode(
        Event(
            event_id=f"log-{log_id}",
            conversation_id="",
            owner_id=SYSTEM_OWNER,
            occurred_at=rfc3339(),
            data=LogCreated(log_id=log_id),
        )
    )
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        for partition in empty:
            await producer.send_and_wait(name, record, key=b"", partition=partition)
    finally:
        await producer.stop()
    return [f"named the log of {name} {log_id} on {len(empty)} partitions"]
