"""How long an event takes until the tables show it, while 2,000 a second arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from psycopg import AsyncConnection

from bench.figure import RUNS, Figure, Series, Table, Target, percentile
from bench.log_generator import FULL, records
from bench.processes import BenchError, local_servers, part
from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.migrate import upgrade

PARTITIONS = 4
EVENTS_PER_S = 2000
SECONDS, QUICK_SECONDS = 20, 2
EVERY_S = 0.01
LOOK_EVERY_S = 0.003
CATCH_UP_S = 60.0
READY_S = 90.0
PROJECTION = "conversation_messages"
WANTED = Target(250)

Place = tuple[int, int]  # partition, offset


async def run(quick: bool) -> list[Series]:
    table = Table()
    seconds = QUICK_SECONDS if quick else SECONDS
    with local_servers("kafka", "postgres") as settings:
        await apply_topics(settings, partitions=PARTITIONS)
        await asyncio.to_thread(upgrade, settings)
        made = [records(FULL, partition, PARTITIONS) for partition in range(PARTITIONS)]
        with part("projector", settings):
            await _stands(settings)
            for number in range(1 if quick else RUNS + 1):
                lags = await _one_run(settings, made, seconds)
                if number == 0 and not quick:
                    continue  # the first tables are its slowest
                table.add("p50", "ms", percentile(lags, 50))
                table.add("p99", "ms", percentile(lags, 99), WANTED)
                table.add("most", "ms", max(lags))
    return table.series()


async def _stands(settings: Settings) -> None:
    """Until every partition's first record, the log's name, is behind every projection: the group has formed."""
    query = "SELECT count(*) FILTER (WHERE next_offset > 0), count(*) FROM projection_checkpoints"
    async with await AsyncConnection.connect(connection_string(settings), autocommit=True) as connection:
        async with asyncio.timeout(READY_S):
            while True:
                row = await (await connection.execute(query)).fetchone()
                if row is not None and row[0] == row[1] == PARTITIONS * len(PROJECTIONS):
                    return
                await asyncio.sleep(0.1)


async def _one_run(
    settings: Settings, made: list[Iterator[tuple[bytes, bytes]]], seconds: float
) -> list[float]:
    """Milliseconds from just before each event was sent until the checkpoint beside its rows was past it."""
    sent: dict[Place, float] = {}
    lags: list[float] = []
    done = asyncio.Event()
    async with await AsyncConnection.connect(connection_string(settings), autocommit=True) as connection:
        watching = asyncio.create_task(_watch(connection, sent, lags, done))
        try:
            await _send(settings, made, seconds, sent)
            done.set()
            async with asyncio.timeout(CATCH_UP_S):
                await watching
        except TimeoutError:
            raise BenchError(f"{len(sent)} events were not in the tables after {CATCH_UP_S:.0f} s") from None
        finally:
            watching.cancel()
    return lags


async def _send(
    settings: Settings,
    made: list[Iterator[tuple[bytes, bytes]]],
    seconds: float,
    sent: dict[Place, float],
) -> None:
    topic = topic_name(settings, CONVERSATION_EVENTS)
    each = round(EVENTS_PER_S * EVERY_S)
    producer = idempotent_producer(settings)
    await producer.start()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        for step in range(round(seconds / EVERY_S)):
            partition = step % PARTITIONS
            at = time.perf_counter()
            futures = [
                await producer.send(topic, value, key=key, partition=partition)
                for key, value in islice(made[partition], each)
            ]
            for future in futures:
                sent[partition, (await future).offset] = at
            await asyncio.sleep(max(0.0, begun + (step + 1) * EVERY_S - loop.time()))
    finally:
        await producer.stop()


async def _watch(
    connection: AsyncConnection[Any], sent: dict[Place, float], lags: list[float], done: asyncio.Event
) -> None:
    """The checkpoint is of the rows' own transaction, so whoever sees it sees them."""
    while sent or not done.is_set():
        cursor = await connection.execute(
            'SELECT "partition", next_offset FROM projection_checkpoints WHERE projection = %s', [PROJECTION]
        )
        offsets = dict(await cursor.fetchall())
        now = time.perf_counter()
        shown = [place for place in sent if place[1] < offsets.get(place[0], 0)]
        lags += [(now - sent.pop(place)) * 1000 for place in shown]
        await asyncio.sleep(LOOK_EVERY_S)


FIGURE = Figure(
    "projection_lag",
    f"From just before an event is handed to a producer until a reader of Postgres sees its row: {EVENTS_PER_S:,} events "
    f"a second of the full mix on {PARTITIONS} partitions for {SECONDS} s, one projector process with every projection, "
    "measured at conversation_messages by a reader that looks every 3 ms. Waiting for the broker is in it.",
    run,
)
