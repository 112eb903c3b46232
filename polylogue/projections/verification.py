"""Replays a version into a scratch schema up to a fixed position and compares it row for row, while live goes on."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from polylogue.infra.settings import Settings
from polylogue.projections.filling import fill_with
from polylogue.projections.filling_worker import Filling
from polylogue.projections.log_heads import LogHead, list_partitions, read_heads
from polylogue.projections.protocol import Projection
from polylogue.projections.rows import Table
from polylogue.projections.session import Session
from polylogue.projections.tables_sql import creation, dropping
from polylogue.projections.versions import (
    OperationRefusedError,
    Version,
    find,
    of_code,
    read_versions,
)

ROWS_AT_ONCE = 5_000
MOST_DIFFERENCES = 100  # that are named; all are counted


@dataclass(frozen=True)
class Difference:
    """A row that is not the same; `columns` are those that differ. Names no content but the key."""

    table: str
    key: tuple[str, ...]
    what: str  # missing (in the live tables), surplus, or different
    columns: tuple[str, ...] = ()


@dataclass
class Verified:
    projection: str
    version: int
    position: Mapping[int, int]  # partition → next offset at which both were compared
    rows: dict[str, int] = field(default_factory=dict)  # by table
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.differing == 0


async def verify(
    settings: Settings,
    name: str,
    *,
    version: int | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
    projection: Projection | None = None,
) -> Verified:
    """Compares the promoted version, or the one named, with a fresh replay; `on_progress` is told records of records.

    The position is where the live tables stand in one snapshot, taken when the replay is nearly there.
    Raises OperationRefusedError, FillingStoppedError, CheckpointRefusedError, KafkaError.
    """
    # Holds no row's lock, only a snapshot.
    live = Session(settings, idle_in_transaction_session_timeout="0", statement_timeout="0")
    scratch_name = f"{_scratch_prefix(settings)}{secrets.token_hex(4)}"
    scratch = Session(settings, scratch_name, statement_timeout="0")
    try:
        connection = await live.connection()
        known = find(await read_versions(connection, name), name, version)
        projection = projection or of_code(name, known.version)
        await _drop_abandoned(connection, settings)
        await connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [scratch_name])
        await _make_scratch(await scratch.connection(), settings.database_schema, scratch_name, projection)
        replay = _Replay(settings, projection, scratch_name, workers, on_progress)
        # Most of the way while live moves on, the rest while a snapshot is held.
        await replay.to(await _position(connection, known), await scratch.connection())
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            position = await _position(connection, known)
            await replay.to(position, await scratch.connection())
            verified = Verified(
                name, known.version, {partition: place[1] for partition, place in position.items()}
            )
            for table in projection.tables:
                await _compare(
                    connection,
                    await scratch.connection(),
                    live_schema=known.schema_name,
                    scratch_schema=scratch_name,
                    table=table,
                    verified=verified,
                )
        return verified
    finally:
        await scratch.close()
        await _drop(settings, scratch_name)
        await live.close()


_Position = Mapping[int, tuple[str, int]]  # partition → (log, next offset)


async def _position(connection: AsyncConnection[Any], version: Version) -> _Position:
    cursor = await connection.execute(
        'SELECT "partition", log_id, next_offset FROM projection_checkpoints WHERE projection = %s AND version = %s',
        [version.projection, version.version],
    )
    return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}


async def _make_scratch(
    connection: AsyncConnection[Any], database_schema: str, scratch: str, projection: Projection
) -> None:
    async with connection.transaction():
        for statement in creation(scratch, projection.tables):
            await connection.execute(statement)
        # Found before those of DATABASE_SCHEMA, so that the replay's states and checkpoints are its own.
        for table in ("projection_checkpoints", "projection_states"):
            await connection.execute(
                SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    Identifier(scratch, table), Identifier(database_schema, table)
                )
            )


def _scratch_prefix(settings: Settings) -> str:
    return f"{settings.database_schema[:40]}__check_"


async def _drop_abandoned(connection: AsyncConnection[Any], settings: Settings) -> None:
    """What a killed verification has left: nobody holds its lock."""
    cursor = await connection.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [_scratch_prefix(settings)]
    )
    for (name,) in await cursor.fetchall():
        cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
        row = await cursor.fetchone()
        if row is not None and row[0]:
            await connection.execute(dropping(name))
            await connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])


async def _drop(settings: Settings, scratch: str) -> None:
    """By a session of its own: that of the comparison may be anywhere."""
    session = Session(settings)
    try:
        await (await session.connection()).execute(dropping(scratch))
    finally:
        await session.close()


class _Replay:
    def __init__(
        self,
        settings: Settings,
        projection: Projection,
        schema: str,
        workers: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self._settings = settings
        self._projection = projection
        self._schema = schema
        self._workers = workers
        self._on_progress = on_progress
        self._reached = 0

    async def to(self, position: _Position, connection: AsyncConnection[Any]) -> None:
        """Exactly to the position, which lies behind where it stands."""
        heads = await read_heads(self._settings, await list_partitions(self._settings))
        parts = tuple(
            (self._head(heads, partition, log), end) for partition, (log, end) in position.items() if end
        )
        total = sum(end for _, end in parts)
        filling = Filling(self._settings, self._projection, self._schema, None, parts)
        few = total - self._reached < ROWS_AT_ONCE
        async with aclosing(fill_with(filling, 0 if few else self._workers)) as going:
            async for _ in going:
                await self._tell(connection, total)
        self._reached = total
        await self._tell(connection, total)

    def _head(self, heads: Mapping[int, LogHead], partition: int, log_id: str) -> LogHead:
        head = heads.get(partition)
        if head is None or head.log_id != log_id:
            raise OperationRefusedError(
                f"The tables of {self._projection.name} were built from log {log_id}, which is not the one in"
                f" partition {partition}: there is nothing to compare them with."
            )
        return head

    async def _tell(self, connection: AsyncConnection[Any], total: int) -> None:
        if self._on_progress is not None:
            cursor = await connection.execute(
                "SELECT coalesce(sum(next_offset), 0)::bigint FROM projection_checkpoints"
            )
            row = await cursor.fetchone()
            self._on_progress(int(row[0]) if row else 0, total)


async def _compare(
    live: AsyncConnection[Any],
    scratch: AsyncConnection[Any],
    *,
    scratch_schema: str,
    live_schema: str,
    table: Table,
    verified: Verified,
) -> None:
    """Both in the order of their keys, a row of each at a time: memory stays flat, whatever their size."""
    ours, theirs = _rows(live, live_schema, table), _rows(scratch, scratch_schema, table)
    async with aclosing(ours), aclosing(theirs), scratch.transaction():
        count = 0
        mine, other = await anext(ours, None), await anext(theirs, None)
        while mine is not None or other is not None:
            if other is None or (mine is not None and mine[0] < other[0]):
                assert mine is not None
                _note(verified, Difference(table.name, mine[0], "surplus"))
                mine = await anext(ours, None)
            elif mine is None or other[0] < mine[0]:
                _note(verified, Difference(table.name, other[0], "missing"))
                other = await anext(theirs, None)
            else:
                count += 1
                if mine[1] != other[1]:
                    differing = tuple(
                        name
                        for name, one, two in zip(_names(table), mine[1], other[1], strict=True)
                        if one != two
                    )
                    _note(verified, Difference(table.name, mine[0], "different", differing))
                mine, other = await anext(ours, None), await anext(theirs, None)
        verified.rows[table.name] = count


def _note(verified: Verified, difference: Difference) -> None:
    verified.differing += 1
    if len(verified.differences) < MOST_DIFFERENCES:
        verified.differences.append(difference)


_Row = tuple[tuple[str, ...], list[Any]]


def _names(table: Table) -> tuple[str, ...]:
    return (*table.columns, *table.derived)


async def _rows(connection: AsyncConnection[Any], schema: str, table: Table) -> AsyncGenerator[_Row, None]:
    keys = len(table.keys)
    async with connection.cursor(name=f"rows_of_{secrets.token_hex(4)}") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        await cursor.execute(_in_order(schema, table))
        async for row in cursor:
            yield tuple(row[:keys]), list(row[keys:])


def _in_order(schema: str, table: Table) -> Composed:
    """Digests instead of values: what is compared may be long, and is nobody's to see."""
    keys = [SQL('{}::text COLLATE "C"').format(Identifier(name)) for name in table.keys]
    digests = [SQL("md5({}::text)").format(Identifier(name)) for name in _names(table)]
    return SQL("SELECT {}, {} FROM {} ORDER BY {}").format(
        SQL(", ").join(keys), SQL(", ").join(digests), Identifier(schema, table.name), SQL(", ").join(keys)
    )
