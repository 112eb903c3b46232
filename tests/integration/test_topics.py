"""`topics apply` and `topics check` on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from polylogue.infra.kafka import client_options, manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import TopicMismatchError, apply_topics, check_topics
from polylogue.infra.topics import (
    CATALOGUE,
    COMMANDS,
    CONVERSATION_EVENTS,
    MEDIA_SEGMENTS,
    catalogue,
    topic_name,
)
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

pytestmark = pytest.mark.stack


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**client_options(settings))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create(settings: Settings, name: str, partitions: int, **config: str) -> None:
    async with admin(settings) as client:
        configs = {key.replace("_", "."): value for key, value in config.items()}
        response = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        assert [error[1] for error in response.topic_errors] == [0]
        # The controller has it; the broker that is asked may learn of it a moment later.
        async with asyncio.timeout(60):
            while name not in await client.list_topics():
                await asyncio.sleep(0.02)


async def alter(settings: Settings, name: str, **config: str) -> None:
    async with admin(settings) as client:
        configs = {key.replace("_", "."): value for key, value in config.items()}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=configs)])


async def described(settings: Settings, name: str) -> tuple[int, dict[str, str]]:
    """The number of partitions and the settings of a topic, as the broker has them."""
    async with admin(settings) as client:
        (topic,) = await client.describe_topics([name])
        (response,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        return len(topic["partitions"]), {entry[0]: entry[1] for entry in response.resources[0][4]}


async def names_on_the_broker(settings: Settings) -> set[str]:
    async with admin(settings) as client:
        return {name for name in await client.list_topics() if name.startswith(settings.kafka_topic_prefix)}


async def records(settings: Settings, name: str, partitions: int) -> dict[int, list[tuple[bytes, bytes]]]:
    """Key and value of every record of a topic by partition."""
    consumer = manual_consumer(settings)
    await consumer.start()
    try:
        assigned = [TopicPartition(name, partition) for partition in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        ends = await consumer.end_offsets(assigned)
        found: dict[int, list[tuple[bytes, bytes]]] = {partition: [] for partition in range(partitions)}
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, batch in (await consumer.getmany(timeout_ms=200)).items():
                found[place.partition] += [(record.key, record.value) for record in batch]
        return found
    finally:
        await consumer.stop()


async def test_apply_creates_every_topic_with_its_settings(settings: Settings) -> None:
    changes = await apply_topics(settings, partitions=3)
    assert len([line for line in changes if line.startswith("created ")]) == len(CATALOGUE)
    assert await names_on_the_broker(settings) == {topic_name(settings, topic) for topic in CATALOGUE}
    for topic in catalogue(3):
        partitions, config = await described(settings, topic_name(settings, topic))
        assert partitions == topic.partitions
        assert {key: config[key] for key in topic.config} == dict(topic.config)
    assert (await described(settings, topic_name(settings, COMMANDS)))[0] == 3


async def test_a_second_apply_changes_nothing_and_check_finds_nothing(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    assert await apply_topics(settings, partitions=3) == []
    assert await check_topics(settings) == []


async def test_apply_without_a_number_keeps_the_number_that_was_chosen(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    assert await apply_topics(settings) == []


async def test_the_default_is_the_number_of_the_catalogue(settings: Settings) -> None:
    await apply_topics(settings)
    assert (await described(settings, topic_name(settings, CONVERSATION_EVENTS)))[0] == 12


async def test_check_names_each_missing_topic_and_the_remedy(settings: Settings) -> None:
    findings = await check_topics(settings)
    assert len(findings) == len(CATALOGUE)
    for topic in CATALOGUE:
        assert f"{topic_name(settings, topic)} is missing; run: polylogue topics apply" in findings
    assert await names_on_the_broker(settings) == set()


async def test_the_first_record_of_every_partition_names_the_log_once(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    name = topic_name(settings, CONVERSATION_EVENTS)
    first = await records(settings, name, 3)
    await apply_topics(settings, partitions=3)
    assert await records(settings, name, 3) == first
    log_ids = set()
    for found in first.values():
        ((key, value),) = found
        assert key == b""
        event = event_codec.decode(value)
        assert isinstance(event, Event)
        assert isinstance(event.data, LogCreated)
        log_ids.add(event.data.log_id)
    assert len(log_ids) == 1


async def test_a_log_that_was_named_in_part_gets_the_same_name_everywhere(settings: Settings) -> None:
    """An apply that died half-way is finished by the next one."""
    from polylogue.infra.kafka import idempotent_producer

    name = topic_name(settings, CONVERSATION_EVENTS)
    await create(
        settings, name, 3, **{key.replace(".", "_"): v for key, v in CONVERSATION_EVENTS.config.items()}
    )
    record = event_codec.encode(
        Event(
            event_id="log-abcd1234",
            conversation_id="",
            owner_id="system",
            occurred_at="2026-11-03T09:30:00.250Z",
            data=LogCreated(log_id="abcd1234"),
        )
    )
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        await producer.send_and_wait(name, record, key=b"", partition=1)
    finally:
        await producer.stop()
    await apply_topics(settings, partitions=3)
    found = await records(settings, name, 3)
    assert [len(one) for one in found.values()] == [1, 1, 1]
    events = [event_codec.decode(one[0][1]) for one in found.values()]
    assert {event.data.log_id for event in events if isinstance(event, Event)} == {"abcd1234"}  # type: ignore[attr-defined]


async def test_another_partition_count_stops_with_both_values_and_changes_nothing(settings: Settings) -> None:
    await create(settings, topic_name(settings, MEDIA_SEGMENTS), 5)
    for attempt in (apply_topics(settings, partitions=3), check_topics(settings)):
        with pytest.raises(
            TopicMismatchError, match=r"media-segments has 5 partitions, the catalogue says 6;"
        ):
            await attempt
    assert await names_on_the_broker(settings) == {topic_name(settings, MEDIA_SEGMENTS)}


async def test_commands_and_events_must_have_equally_many_partitions(settings: Settings) -> None:
    await create(settings, topic_name(settings, COMMANDS), 4)
    await create(settings, topic_name(settings, CONVERSATION_EVENTS), 3)
    with pytest.raises(TopicMismatchError, match=r"commands has 4 partitions, .* 3"):
        await check_topics(settings)


async def test_a_count_other_than_the_chosen_one_is_refused(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    with pytest.raises(TopicMismatchError, match=r"has 3 partitions, the catalogue says 4"):
        await apply_topics(settings, partitions=4)


async def test_another_cleanup_policy_stops_with_both_values(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    await alter(settings, topic_name(settings, CONVERSATION_EVENTS), cleanup_policy="compact")
    for attempt in (apply_topics(settings, partitions=3), check_topics(settings)):
        with pytest.raises(
            TopicMismatchError,
            match=r"conversation-events has cleanup\.policy=compact, the catalogue says delete",
        ):
            await attempt
    _, config = await described(settings, topic_name(settings, CONVERSATION_EVENTS))
    assert config["cleanup.policy"] == "compact"


async def test_drifted_retention_is_reported_by_check_and_mended_by_apply(settings: Settings) -> None:
    await apply_topics(settings, partitions=3)
    name = topic_name(settings, MEDIA_SEGMENTS)
    await alter(
        settings,
        name,
        **{k.replace(".", "_"): v for k, v in MEDIA_SEGMENTS.config.items()} | {"retention_ms": "1000"},
    )
    assert await check_topics(settings) == [
        f"{name} has retention.ms=1000, the catalogue says {MEDIA_SEGMENTS.config['retention.ms']}"
    ]
    assert await apply_topics(settings, partitions=3) == [
        f"set {name} retention.ms={MEDIA_SEGMENTS.config['retention.ms']}"
    ]
    assert await check_topics(settings) == []
