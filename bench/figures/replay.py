"""How fast a rebuild brings a history into Postgres, beside reading it alone and copying its rows alone."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from aiokafka import TopicPartition
from psycopg.sql import SQL, Identifier

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.log_generator import FULL, TEXT, Mix, write_log
from bench.processes import BenchError, local_servers
from polylogue.infra.kafka import manual_consumer
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.conversation_messages import MESSAGES, ConversationMessages
from polylogue.projections.migrate import upgrade
from polylogue.projections.rebuilding import Progress, rebuild
from polylogue.projections.tables_sql import version_schema

PARTITIONS = 4
WORKERS = 2  # as many as the machine of the figures has cores
SIZES = (100_000, 1_000_000)
LARGE = (10_000_000,)
QUICK = (20_000,)
FETCH_BYTES = 8 * 1024 * 1024
LOOK_EVERY_S = 0.1
MIB = 1024 * 1024
WANTED = {TEXT: Target(100_000, at_most=False), FULL: Target(30_000, at_most=False)}


class NextMessages(ConversationMessages):
    """The same tables under the next version, as a rebuild beside those that are served builds them."""

    version = ConversationMessages.version + 1


@dataclass(frozen=True)
class Rebuilt:
    seconds: float
    per_second: float  # from when the first events were in the tables to the end
    peak_bytes: int  # of the processes that read and write, together, but for Postgres' shared buffers


async def run(quick: bool) -> list[Series]:
    return await _measure(QUICK if quick else SIZES, runs=1 if quick else RUNS)


async def run_large(quick: bool) -> list[Series]:
    return await _measure(QUICK if quick else LARGE, runs=1)


async def _measure(sizes: Sequence[int], runs: int) -> list[Series]:
    table = Table()
    with local_servers("kafka", "postgres") as servers:
        for mix in (TEXT, FULL):
            speeds: dict[int, float] = {}
            for size in sizes:
                name = f"{mix.name.replace(' ', '_')}_{size}"
                settings = servers.model_copy(
                    update={"kafka_topic_prefix": f"{name}-", "database_schema": name}
                )
                await apply_topics(settings, partitions=PARTITIONS)
                await asyncio.to_thread(upgrade, settings)
                await write_log(settings, mix, size, PARTITIONS)
                for _ in range(runs):
                    speeds[size] = await _one_run(table, settings, mix, size)
            if len(sizes) > 1:
                ratio = speeds[sizes[-1]] / speeds[sizes[0]]
                table.add(f"{mix.name}: speed of writing at {sizes[-1]:,} over {sizes[0]:,}", "×", ratio)
    return table.series()


async def _one_run(table: Table, settings: Settings, mix: Mix, size: int) -> float:
    read = await _timed(lambda: _getmany(settings, size))
    rebuilt = await _rebuild(settings)
    rows, copied = await asyncio.to_thread(_copy, settings)
    speed = size / rebuilt.seconds
    told = f"{mix.name} {size:,}"
    table.add(f"{told}: rebuild", "events/s", speed, WANTED[mix])
    table.add(f"{told}: rebuild, once it has begun to write", "events/s", rebuilt.per_second)
    table.add(f"{told}: getmany alone", "events/s", size / read)
    table.add(f"{told}: COPY alone, {rows:,} rows", "rows/s", rows / copied)
    table.add(f"{told}: COPY alone, as events", "events/s", size / copied)
    table.add(f"{told}: most memory", "MiB", rebuilt.peak_bytes / MIB)
    return rebuilt.per_second


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def _getmany(settings: Settings, size: int) -> None:
    """Reads as a rebuild does, and lets every record go."""
    consumer = manual_consumer(
        settings, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_bytes=2 * FETCH_BYTES
    )
    await consumer.start()
    try:
        topic = topic_name(settings, CONVERSATION_EVENTS)
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        wanted = size + PARTITIONS  # the log's name is in each
        while wanted > 0:
            wanted -= sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=20_000)).values()))
    finally:
        await consumer.stop()


async def _rebuild(settings: Settings) -> Rebuilt:
    peak = 0
    own = psutil.Process()
    others = {child.pid for child in own.children(recursive=True)}

    async def weigh() -> None:
        nonlocal peak
        while True:
            held = 0
            for child in own.children(recursive=True):
                if child.pid not in others:
                    with suppress(psutil.NoSuchProcess):
                        held += child.memory_info().rss - _shared_buffers(child)
            peak = max(peak, held)
            await asyncio.sleep(LOOK_EVERY_S)

    weighing = asyncio.create_task(weigh())
    begun = time.perf_counter()
    last: Progress | None = None
    first: tuple[float, int] | None = None
    try:
        async for progress in rebuild(
            settings,
            ConversationMessages.name,
            projection=NextMessages(),
            from_start=True,
            workers=WORKERS,
        ):
            last = progress
            if first is None and progress.applied:
                first = time.perf_counter(), progress.applied
    finally:
        weighing.cancel()
    if last is None or not last.done:
        raise BenchError("the rebuild did not come to its end")
    ended = time.perf_counter()
    whole = last.total / (ended - begun)
    # A small log may be in the tables before anybody has looked.
    later = last.total - first[1] if first else 0
    speed = later / (ended - first[0]) if first and later else whole
    return Rebuilt(ended - begun, speed, peak)


def _shared_buffers(process: psutil.Process) -> int:
    """What a session has touched of them is in its resident memory, and again in that of every other session."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0  # it is over, or the machine has no such file
    found = re.search(r"^RssShmem:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _copy(settings: Settings) -> tuple[int, float]:
    """The rows that the rebuild made into an equal table, from memory."""
    schema = version_schema(settings.database_schema, ConversationMessages.name, NextMessages.version)
    source, target = Identifier(schema, MESSAGES.name), Identifier(schema, "copied")
    conninfo = connection_string(settings, statement_timeout="0")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        buffer = io.BytesIO()
        with connection.cursor().copy(SQL("COPY {} TO STDOUT").format(source)) as out:
            for piece in out:
                buffer.write(piece)
        connection.execute(SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(target, source))
        try:
            begun = time.perf_counter()
            cursor = connection.cursor()
            with cursor.copy(SQL("COPY {} FROM STDIN").format(target)) as into:
                into.write(buffer.getbuffer())
            return cursor.rowcount, time.perf_counter() - begun
        finally:
            connection.execute(SQL("DROP TABLE {}").format(target))


_MEASURES = (
    "`rebuild` of conversation_messages from offset 0 into tables of its own, from the call to the state `ready`: "
    f"{PARTITIONS} partitions, {WORKERS} processes, their start and the making of the tables included. In the same run, "
    "one consumer that reads the same records and lets them go, and a COPY of the same rows into an equal table with "
    "its indexes. Text: three answers of 200 to 400 pieces a turn. Full mix: short answers, reasoning, media with "
    "outcomes and renditions, failures, ratings. Memory is that of the rebuild's processes and of its sessions of Postgres, "
    "whose shared buffers are not in it."
)
FIGURE = Figure("replay", _MEASURES, run)
LARGE_FIGURE = Figure(
    "replay_10m", _MEASURES + " One run of ten million events.", run_large, only_if_named=True
)
