"""`topics apply` and `topics check`: makes the cluster match the catalogue, and refuses what cannot be mended silently."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from polylogue.infra.kafka import admin_client, idempotent_producer, manual_consumer, started
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, Topic, catalogue, topic_name
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

SYSTEM_OWNER = "system"
IMMUTABLE_CONFIG = "cleanup.policy"
FIRST_RECORD_TIMEOUT_S = 10  # the record exists; a broker that cannot give it in this time is not well
_TOPIC_ALREADY_EXISTS = 36  # Kafka protocol error code


class TopicMismatchError(Exception):
    """A topic differs from the catalogue in a way that nobody may mend silently; the message names both values."""


async def apply_topics(
    settings: Settings, *, partitions: int | None = None, replication_factor: int = 1
) -> list[str]:
    """Creates what is missing, mends settings that may change, names each new log. Returns one line a change.

    Raises TopicMismatchError before anything is changed.
    """
    changes: list[str] = []
    async with admin_client(settings) as admin:
        existing = await _partition_counts(admin, settings)
        wanted = catalogue(partitions or _chosen(settings, existing))
        _refuse_partition_differences(settings, wanted, existing)
        present = [topic for topic in wanted if topic_name(settings, topic) in existing]
        differing = await _config_differences(admin, settings, present)
        missing = [topic for topic in wanted if topic_name(settings, topic) not in existing]
        if missing:
            await _create(admin, settings, missing, replication_factor)
        changes += [
            f"created {topic_name(settings, topic)} with {topic.partitions} partitions" for topic in missing
        ]
        for topic, config in differing:
            name = topic_name(settings, topic)
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(topic.config))]
            )
            changes.append(f"set {name} " + ", ".join(f"{key}={topic.config[key]}" for key in config))
    count = next(topic.partitions for topic in wanted if topic.name == CONVERSATION_EVENTS.name)
    changes += await _name_logs(settings, count)
    return changes


async def check_topics(settings: Settings) -> list[str]:
    """Returns one line for each missing topic or differing setting; an empty list means all is well.

    Raises TopicMismatchError as `apply_topics` does.
    """
    async with admin_client(settings) as admin:
        existing = await _partition_counts(admin, settings)
        wanted = catalogue(_chosen(settings, existing))
        _refuse_partition_differences(settings, wanted, existing)
        missing = [topic for topic in wanted if topic_name(settings, topic) not in existing]
        findings = [
            f"{topic_name(settings, topic)} is missing; run: polylogue topics apply" for topic in missing
        ]
        present = [topic for topic in wanted if topic not in missing]
        for topic, config in await _config_differences(admin, settings, present):
            findings += [
                f"{topic_name(settings, topic)} has {key}={value}, the catalogue says {topic.config[key]}"
                for key, value in config.items()
            ]
    return findings


async def _create(
    admin: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic], replication_factor: int
) -> None:
    """In one request: each costs a round of the cluster's controller."""
    response = await admin.create_topics(
        [
            NewTopic(
                topic_name(settings, topic),
                topic.partitions,
                replication_factor,
                topic_configs=dict(topic.config),
            )
            for topic in topics
        ]
    )
    for error in response.topic_errors:
        if error[1] not in (0, _TOPIC_ALREADY_EXISTS):
            raise for_code(error[1])(f"{error[0]} could not be created")


async def _partition_counts(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    """The number of partitions of each topic of ours that exists."""
    ours = {topic_name(settings, topic) for topic in catalogue()} & set(await admin.list_topics())
    described = await admin.describe_topics(sorted(ours)) if ours else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


def _chosen(settings: Settings, existing: dict[str, int]) -> int | None:
    """The number that was chosen at creation: commands and conversation-events only have to agree."""
    return existing.get(topic_name(settings, CONVERSATION_EVENTS))


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
) -> list[tuple[Topic, dict[str, str]]]:
    """The settings that differ, with the cluster's values. Raises TopicMismatchError for the clean-up policy."""
    differing: list[tuple[Topic, dict[str, str]]] = []
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
            differing.append((topic, difference))
    return differing


async def _name_logs(settings: Settings, count: int) -> list[str]:
    """Writes LogCreated as the first record of every empty partition of `conversation-events`.

    Where an earlier run was cut off, the name that it chose is used again.
    """
    name = topic_name(settings, CONVERSATION_EVENTS)
    async with started(manual_consumer(settings)) as consumer:
        partitions = [TopicPartition(name, partition) for partition in range(count)]
        ends = await consumer.end_offsets(partitions)
        empty = [place.partition for place in partitions if ends[place] == 0]
        named = [place for place in partitions if ends[place] > 0]
        if not empty:
            return []
        log_id = (await _name_of(consumer, named[0]) if named else None) or secrets.token_hex(4)
    record = event_codec.encode(
        Event(
            event_id=f"log-{log_id}",
            conversation_id="",
            owner_id=SYSTEM_OWNER,
            occurred_at=rfc3339(),
            data=LogCreated(log_id=log_id),
        )
    )
    async with started(idempotent_producer(settings)) as producer:
        for partition in empty:
            await producer.send_and_wait(name, record, key=b"", partition=partition)
    return [f"named the log of {name} {log_id} on {len(empty)} partitions"]


async def _name_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> str | None:
    """The log_id in the first record of a partition that has one; None where it is gone or is another record."""
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    record = await asyncio.wait_for(consumer.getone(partition), FIRST_RECORD_TIMEOUT_S)
    event = event_codec.decode(record.value)
    return event.data.log_id if isinstance(event, Event) and isinstance(event.data, LogCreated) else None
