"""Builds the tables of one projection anew in another schema, from the first record to the present end."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import AsyncConnection

from polylogue.infra.kafka import manual_consumer
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.batches import apply_batch
from polylogue.projections.checkpoints import advance, take
from polylogue.projections.log_heads import LogHead, list_partitions, read_heads
from polylogue.projections.migrate import upgrade
from polylogue.projections.protocol import Projection


class ReplayStoppedError(Exception):
    """A record cannot be applied; the message names it and why."""


async def replay(settings: Settings, projection: Projection, schema: str) -> None:
    """Leaves the tables in `schema`, made where it is missing, as the log up to its present end says.

    Raises ReplayStoppedError, CheckpointRefusedError.
    """
    target = settings.model_copy(update={"database_schema": schema})
    await asyncio.to_thread(upgrade, target)
    consumer = manual_consumer(settings)
    await consumer.start()
    try:
        heads = await read_heads(settings, await list_partitions(settings))
        places = [TopicPartition(head.topic, head.partition) for head in heads.values()]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, heads[place.partition].beginning)
        async with await psycopg.AsyncConnection.connect(
            connection_string(target), autocommit=True, prepare_threshold=None
        ) as connection:
            for place in places:
                await _replay_partition(consumer, place, connection, projection, heads[place.partition])
    finally:
        await consumer.stop()


async def _replay_partition(
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    connection: AsyncConnection[Any],
    projection: Projection,
    head: LogHead,
) -> None:
    checkpoint = await take(connection, projection, head)
    consumer.seek(place, checkpoint.next_offset)
    # Not the checkpoint: behind the last record there may be the marker of a transaction.
    while await consumer.position(place) < head.end:
        records = (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
        records = [record for record in records if record.offset < head.end]
        if not records:
            continue
        applied = await apply_batch(connection, projection, checkpoint, records)
        if applied.refusal is not None:
            raise ReplayStoppedError(
                f"offset {applied.refusal.offset} of partition {head.partition} of {head.topic}:"
                f" {applied.refusal.reason}"
            )
        checkpoint = applied.checkpoint
    if checkpoint.next_offset < head.end:
        async with connection.transaction():
            await advance(connection, checkpoint, head.end)
