"""Given these events, when they are applied however the log may be cut or repeated, then these rows: on real Postgres."""

from __future__ import annotations

import asyncio
import pprint
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.batches import Write, apply_batch, execute
from polylogue.projections.bulk import copy_new
from polylogue.projections.checkpoints import PartitionLostError, take
from polylogue.projections.install import install
from polylogue.projections.log_heads import LogHead
from polylogue.projections.migrate import upgrade
from polylogue.projections.protocol import Projection
from polylogue.projections.tables_sql import version_schema
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event

Rows = Sequence[Mapping[str, Any]]
SHORT = 50  # a log of so many records is cut everywhere
CUTS_OF_LONG = 25  # of a longer one; each takes some hundredths of a second
FIRST_OFFSET = 1  # the log's name is at 0
_LOG_ID = "spec"
_FRAMEWORK_TABLES = ("projection_checkpoints", "projection_states")


class SpecFailedError(AssertionError):
    """The rows are others than they should be; the message says after which way of applying, and which."""


class Recorded(NamedTuple):
    """A record, as far as a batch reads it."""

    offset: int
    value: bytes | None


@dataclass(frozen=True)
class Way:
    """One way in which the same events may reach a projection: batches, each applied in a transaction of its own."""

    name: str
    batches: Sequence[Sequence[Recorded]]
    write: Write = execute


class ProjectionSpec:
    """A projection to be tested; tables are made in a schema that is dropped afterwards. It needs DATABASE_URL alone.

    await ProjectionSpec(settings, WordsDaily()).given(*story.events).then(words_daily=[{"model_id": "a", "words": 3}])
    """

    def __init__(self, settings: Settings, projection: Projection) -> None:
        self._settings = settings
        self._projection = projection

    def given(self, *events: Event) -> Given:
        """In the order in which they lie in a partition."""
        return self.given_records(*map(event_codec.encode, events))

    def given_records(self, *values: bytes | None) -> Given:
        """Values as they lie in the log: of earlier versions, for instance."""
        return Given(self._settings, self._projection, values)


class Given:
    def __init__(self, settings: Settings, projection: Projection, values: Sequence[bytes | None]) -> None:
        schema = f"spec_{secrets.token_hex(6)}"
        self._settings = settings.model_copy(update={"database_schema": schema})
        self._schema = version_schema(schema, projection.name, projection.version)
        self._projection = projection
        self._values = values

    async def then(self, **tables: Rows) -> None:
        """Raises SpecFailedError unless each named table has these rows and no others, whichever way they are applied.

        Only the named columns count, and the order does not. Values are as JSON has them: a day is "2026-03-01".
        """
        async with self._tables() as connection:
            for way in ways(self._values):
                await self._apply(connection, way)
                for name, expected in tables.items():
                    _compare(way, name, await rows_of(connection, self._schema, name), expected)

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table after the events were applied at once, sorted by key."""
        async with self._tables() as connection:
            await self._apply(connection, next(ways(self._values)))
            return {
                table.name: sorted(
                    await rows_of(connection, self._schema, table.name),
                    key=lambda row, keys=table.keys: [str(row[key]) for key in keys],  # type: ignore[misc]
                )
                for table in self._projection.tables
            }

    @asynccontextmanager
    async def _tables(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection as a projector has it, and empty tables."""
        try:
            await asyncio.to_thread(self._create)
            path = f"{self._schema},{self._settings.database_schema}"
            async with await AsyncConnection.connect(
                connection_string(self._settings, search_path=path, timezone="UTC"), autocommit=True
            ) as connection:
                yield connection
        finally:
            await asyncio.to_thread(self._drop)

    def _create(self) -> None:
        # The framework's tables alone: "head" would make those of every projection.
        upgrade(self._settings, "heads")
        with psycopg.connect(connection_string(self._settings)) as connection:
            install(connection, self._settings.database_schema, [self._projection])

    def _drop(self) -> None:
        with psycopg.connect(connection_string(self._settings), autocommit=True) as connection:
            found = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)",
                [self._settings.database_schema],
            )
            for name in {self._schema, *(row[0] for row in found)}:
                connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))

    async def _apply(self, connection: AsyncConnection[Any], way: Way) -> None:
        names = [Identifier(self._schema, table.name) for table in self._projection.tables]
        names += [Identifier(self._settings.database_schema, name) for name in _FRAMEWORK_TABLES]
        for name in names:
            await connection.execute(SQL("DELETE FROM {}").format(name))
        end = way.batches[-1][-1].offset + 1 if way.batches else FIRST_OFFSET
        async with connection.transaction():
            checkpoint = await take(connection, self._projection, LogHead("spec", 0, 0, end, _LOG_ID))
        for batch in way.batches:
            before = checkpoint
            applied = await apply_batch(connection, self._projection, checkpoint, batch, write=way.write)
            if applied.refusal is not None:
                raise SpecFailedError(
                    f"{way.name}: the event at {applied.refusal.offset} cannot be applied:"
                    f" {applied.refusal.reason}"
                )
            checkpoint = applied.checkpoint
            # A copy that died before it knew of its commit, or one that has lost the partition, applies it again.
            try:
                await apply_batch(connection, self._projection, before, batch, write=way.write)
            except PartitionLostError:
                continue
            raise SpecFailedError(f"{way.name}: a batch that was applied could be applied again")


def ways(values: Sequence[bytes | None]) -> Iterator[Way]:
    """Every way in which these records may come; the rows must be the same."""
    records = _placed(values)
    if not records:
        yield Way("nothing", [])
        return
    yield Way("at once", [records])
    yield Way("one by one", [[record] for record in records])
    yield Way("at once, as a rebuild writes", [records], copy_new)
    for number, cut in enumerate(_spread(len(records))):
        parts = [records[:cut], records[cut:]]
        yield Way(f"cut before the event at {records[cut].offset}", parts)
        if number % 4 == 0:
            yield Way(f"cut before the event at {records[cut].offset}, as a rebuild writes", parts, copy_new)
    doubled = _placed([value for value in values for _ in range(2)])
    yield Way("each written twice", [doubled])
    if len(records) <= SHORT:
        yield Way("each written twice, one by one", [[record] for record in doubled])


def _spread(count: int) -> Iterable[int]:
    """Every place at which `count` records can be cut in two, or as many as are worth the time."""
    return range(1, count, 1 if count <= SHORT else -(-count // CUTS_OF_LONG))


def _placed(values: Iterable[bytes | None]) -> list[Recorded]:
    return [Recorded(offset, value) for offset, value in enumerate(values, start=FIRST_OFFSET)]


async def rows_of(connection: AsyncConnection[Any], schema: str, table: str) -> list[dict[str, Any]]:
    """As JSON has them."""
    cursor = await connection.execute(SQL("SELECT to_json(t) FROM {} AS t").format(Identifier(schema, table)))
    return [row[0] for row in await cursor.fetchall()]


def _compare(way: Way, table: str, found: Rows, expected: Rows) -> None:
    columns = {name for row in expected for name in row}
    seen = [{name: row[name] for name in columns if name in row} for row in found]
    missing = [row for row in expected if dict(row) not in [_like(row, one) for one in seen]]
    surplus = [one for one in seen if not any(_like(row, one) == dict(row) for row in expected)]
    if missing or surplus or len(found) != len(expected):
        raise SpecFailedError(
            f"{way.name}, {table} differs\nmissing: {pprint.pformat(missing)}\n"
            f"not expected: {pprint.pformat(surplus)}\n{len(found)} rows, expected {len(expected)}"
        )


def _like(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What the found row has in the columns that the expected one names."""
    return {name: found.get(name) for name in row}
