"""Usage events for tests of their readers, put onto the topic at a time of the test's choosing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from polylogue.infra.kafka import client_options, idempotent_producer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_USAGE, topic_name
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import usage_codec
from polylogue.schemas.envelope import UsageEvent
from polylogue.schemas.usage import MediaUsageRecorded, Steps

PARTITIONS = 2


def at(day: str, time: str = "12:00:00") -> int:
    """Unix ms of a time of a day, UTC."""
    return int(dt.datetime.fromisoformat(f"{day}T{time}+00:00").timestamp() * 1000)


def used(
    number: int, at_ms: int, *, owner: str = "ada", model: str = "sim/painter", **data: Any
) -> UsageEvent:
    values: dict[str, Any] = {
        "outcome": "stored",
        "media_id": f"m{number}",
        "media_type": "image",
        "conversation_id": "c1",
        "response_id": "r1-1",
        "model": model,
        "size_bytes": 1000 + number,
        "latency_ms": 10 * number,
        "cost_usd_micros": 39_000,
        "steps": Steps(queued=1, read=2, validate=3, upload=4),
    }
    recorded = MediaUsageRecorded(**(values | data))
    return UsageEvent(
        event_id=f"m{number}.{recorded.outcome}.0", owner_id=owner, occurred_at=rfc3339(at_ms), data=recorded
    )


async def make_usage_topic(settings: Settings) -> None:
    """One whose records have the times that their producer says, so that a test can write yesterday's."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        config = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
        topic = NewTopic(topic_name(settings, MEDIA_USAGE), PARTITIONS, 1, topic_configs=config)
        await admin.create_topics([topic])
    finally:
        await admin.close()


async def record_usage(settings: Settings, events: Iterable[tuple[int, UsageEvent | bytes]]) -> None:
    """Appends (append time in Unix ms, event or raw value) in order; raw values go to the first partition."""
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        for at_ms, event in events:
            raw = isinstance(event, bytes)
            await producer.send(
                topic_name(settings, MEDIA_USAGE),
                event if isinstance(event, bytes) else usage_codec.encode(event),
                key=b"" if isinstance(event, bytes) else event.owner_id.encode(),
                partition=0 if raw else partition_for(event.owner_id, PARTITIONS),  # type: ignore[union-attr]
                timestamp_ms=at_ms,
            )
        await producer.flush()
    finally:
        await producer.stop()
