"""What a test does with a projector and its tables: runs it, waits for it, reads every row, compares with a replay."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from polylogue.infra.kafka import partition_for
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.filling_worker import Filling, fill
from polylogue.projections.log_heads import list_partitions, read_heads
from polylogue.projections.migrate import upgrade
from polylogue.projections.projector import serve
from polylogue.projections.protocol import Projection
from polylogue.projections.tables_sql import version_schema

PARTITIONS = 3  # of conversation-events in `prepared`


async def until(condition: Callable[[], Any], *, timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def projector(
    settings: Settings, projections: Sequence[Projection] = PROJECTIONS
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop, projections))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task


def query(settings: Settings, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with psycopg.connect(connection_string(settings), row_factory=dict_row) as connection:
        return connection.execute(sql, parameters).fetchall()  # type: ignore[arg-type]


def tables(settings: Settings, schema: str | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every projection's tables and of its reducer states, as text."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    named = settings.model_copy(update={"database_schema": schema or settings.database_schema})
    names = [table.name for projection in PROJECTIONS for table in projection.tables]
    with psycopg.connect(connection_string(named)) as connection:
        for name in [*names, "projection_states"]:
            rows = connection.execute(SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(Identifier(name)))
            found[name] = rows.fetchall()
    return found


def ends(settings: Settings) -> dict[tuple[str, int], int]:
    rows = query(
        settings,
        'SELECT projection, "partition", next_offset FROM projection_checkpoints'
        " JOIN projection_versions USING (projection, version) WHERE state = 'promoted'",
    )
    return {(row["projection"], row["partition"]): row["next_offset"] for row in rows}


async def caught_up(settings: Settings) -> None:
    heads = await read_heads(settings, range(PARTITIONS))
    expected = {
        (projection.name, number): head.end for projection in PROJECTIONS for number, head in heads.items()
    }
    await until(lambda: ends(settings) == expected)


async def replay(settings: Settings, projection: Projection, schema: str) -> None:
    """Leaves the tables in `schema`, made where it is missing, as the log up to its present end says."""
    target = settings.model_copy(update={"database_schema": schema})
    await asyncio.to_thread(upgrade, target)
    heads = await read_heads(settings, await list_partitions(settings))
    place = version_schema(schema, projection.name, projection.version)
    parts = tuple((head, head.end) for head in heads.values())
    await fill(Filling(target, projection, place, None, parts))


async def assert_equal_to_replay(settings: Settings) -> None:
    schema = f"r{secrets.token_hex(4)}"
    for projection in PROJECTIONS:
        await replay(settings, projection, schema)
    live = tables(settings)
    assert live["conversation_messages"]
    assert live == tables(settings, schema)
    assert ends(settings) == ends(settings.model_copy(update={"database_schema": schema}))


def id_on(partition: int) -> str:
    """A conversation id of the partition."""
    return next(
        name
        for name in iter(lambda: secrets.token_hex(16), None)
        if partition_for(name, PARTITIONS) == partition
    )
