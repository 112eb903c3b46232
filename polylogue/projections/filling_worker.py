"""One process of a rebuild or a verification: reads its partitions in large chunks into tables that nobody reads yet."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection

from polylogue.infra.crash_points import arm, crash_point
from polylogue.infra.kafka import manual_consumer, started
from polylogue.infra.logs import configure_logs, get_logger
from polylogue.infra.settings import Settings
from polylogue.projections.batches import apply_batch
from polylogue.projections.builders import TakenOverError, join
from polylogue.projections.bulk import copy_new
from polylogue.projections.checkpoints import (
    Checkpoint,
    CheckpointRefusedError,
    PartitionLostError,
    advance,
    begin,
)
from polylogue.projections.log_heads import LogHead
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.session import AT_ONCE, Session
from polylogue.projections.versions import read_skips, skipped

# Large enough that a conversation's row is written a few times, small enough that memory stays flat.
CHUNK_RECORDS = 20_000
FETCH_BYTES = 8 * 1024 * 1024
POLL_MS = 1000
STATEMENT_TIMEOUT = "300s"  # nobody waits for these sessions but their own rebuild

T = TypeVar("T")
log = get_logger(__name__)


class FillingStoppedError(Exception):
    """The tables cannot be filled any further; the message is a sentence that says where and what to do."""


@dataclass(frozen=True)
class Filling:
    """What to fill with what; plain values, so that it can be handed to another process."""

    settings: Settings
    projection: Projection
    schema: str
    token: str | None  # None: the schema is nobody else's
    parts: tuple[tuple[LogHead, int], ...]  # partitions with the offset to reach


def run(filling: Filling, answer: Connection) -> None:
    """The process's main function: answers with a sentence where it must stop, else with None."""
    # The chunks' objects die by reference count; the collector would look at all of them time and again.
    gc.set_threshold(200_000, 20, 100)
    parent = os.getppid()
    configure_logs(filling.settings, process="rebuild")
    arm()
    try:
        uvloop.run(_until_orphaned(filling, parent))
        answer.send(None)
    except (FillingStoppedError, TakenOverError, CheckpointRefusedError) as error:
        answer.send((type(error).__name__, str(error)))


async def _until_orphaned(filling: Filling, parent: int) -> None:
    work = asyncio.ensure_future(fill(filling))
    while not work.done():
        await asyncio.wait([work], timeout=1)
        if os.getppid() != parent:
            # Killed: whoever goes on with it starts processes of its own.
            work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def fill(filling: Filling) -> None:
    """Raises FillingStoppedError, TakenOverError, CheckpointRefusedError."""
    session = Session(filling.settings, filling.schema, statement_timeout=STATEMENT_TIMEOUT, **AT_ONCE)
    never = asyncio.Event()
    patience = Patience("servers", never, log.bind(projection=filling.projection.name))
    try:
        for head, until in filling.parts:
            while True:
                try:
                    await _fill_partition(filling, session, head, until)
                except (
                    KafkaError,
                    psycopg.OperationalError,
                    psycopg.errors.IdleInTransactionSessionTimeout,
                ) as error:
                    await patience.wait(error)
                else:
                    patience.over()
                    break
    except PartitionLostError as error:
        raise TakenOverError(
            f"Another rebuild of {filling.projection.name} goes on instead of this one ({error})."
        ) from None
    finally:
        await session.close()


async def _fill_partition(filling: Filling, session: Session, head: LogHead, until: int) -> None:
    projection = filling.projection
    async with session.transaction() as connection:
        if filling.token is not None:
            await join(connection, projection.name, projection.version, filling.token)
        checkpoint = await begin(connection, projection, head)
        decided = await read_skips(connection, projection.name, projection.version)
    if checkpoint.next_offset >= until:
        return
    skips = skipped(decided, checkpoint.log_id, checkpoint.partition)
    place = TopicPartition(head.topic, head.partition)
    async with started(
        manual_consumer(
            filling.settings, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_bytes=2 * FETCH_BYTES
        )
    ) as consumer:
        consumer.assign([place])
        consumer.seek(place, checkpoint.next_offset)
        checkpoint = await _read(filling, connection, consumer, place, checkpoint, until=until, skips=skips)
    if checkpoint.next_offset < until:
        # Behind the last record there may be the marker of a transaction.
        async with session.transaction() as connection:
            await advance(connection, checkpoint, until)


async def _read(
    filling: Filling,
    connection: AsyncConnection[Any],
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    checkpoint: Checkpoint,
    *,
    until: int,
    skips: AbstractSet[int],
) -> Checkpoint:
    while await consumer.position(place) < until:
        records = (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=CHUNK_RECORDS)).get(
            place, []
        )
        if records and records[-1].offset >= until:
            records = [record for record in records if record.offset < until]
        if not records:
            continue
        crash_point("rebuild.chunk_read")
        applied = await apply_batch(
            connection, filling.projection, checkpoint, records, skips=skips, write=copy_new
        )
        crash_point("rebuild.chunk_committed")
        if applied.refusal is not None:
            name, refusal = filling.projection.name, applied.refusal
            raise FillingStoppedError(
                f"Offset {refusal.offset} of partition {place.partition} of {place.topic} cannot be applied to"
                f" {name} v{filling.projection.version}: {refusal.reason}. Newer software may read it; to leave it"
                f" out for good: polylogue projections skip {name} --partition {place.partition}"
                f" --offset {refusal.offset} --why REASON, then go on."
            )
        checkpoint = applied.checkpoint
    return checkpoint
