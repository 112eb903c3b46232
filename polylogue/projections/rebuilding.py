"""Builds a version of a projection from the first record beside the one that is served, until it has caught up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.projections.builders import leave, take_over
from polylogue.projections.filling import fill_with
from polylogue.projections.filling_worker import Filling
from polylogue.projections.log_heads import LogHead, list_partitions, offsets_at, read_heads
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.session import Session
from polylogue.projections.tables_sql import creation, declaration, dropping, indexing, version_schema
from polylogue.projections.versions import OperationRefusedError, Version, of_code, read_versions

CAUGHT_UP_RECORDS = 5_000  # what is left to the live projector, which does it in a moment
FEW_RECORDS = 20_000  # starting processes for so few takes longer than reading them

SPEED_OVER_S = 10.0

Until = int | datetime | None

log = get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    projection: str
    version: int
    applied: int  # records, of those in `total`
    total: int
    events_per_s: float
    eta_s: float | None  # None where nothing can be said yet
    next_offsets: Mapping[int, int]  # by partition
    done: bool = False


async def rebuild(
    settings: Settings,
    name: str,
    *,
    version: int | None = None,
    until: Until = None,
    from_start: bool = False,
    workers: int = 2,
    projection: Projection | None = None,
) -> AsyncGenerator[Progress, None]:
    """Fills the newest version of the code, or the one named; goes on where an interrupted rebuild stood.

    Once it has caught up its state is `ready`, and the live projector keeps it so. `until` (an offset of every
    partition, or a time) stops before and leaves it `building`. `from_start` forgets what was filled before.
    Raises OperationRefusedError, FillingStoppedError, TakenOverError, CheckpointRefusedError, KafkaError.
    """
    projection = projection or of_code(name, version)
    session, token = Session(settings), secrets.token_hex(8)
    try:
        connection = await session.connection()
        async with connection.transaction():
            prepared = await _prepare(connection, settings, projection, token, from_start=from_start)
        if prepared.state == "ready":
            heads = await _heads(settings)
            yield await _Meter(projection, _all(heads)).progress(session, done=True)
            return
        filling = _fill(settings, session, prepared, projection, token, until=until, workers=workers)
        async with aclosing(filling):
            async for progress in filling:
                yield progress
    finally:
        await _depart(session, projection, token)


async def _prepare(
    connection: AsyncConnection[Any],
    settings: Settings,
    projection: Projection,
    token: str,
    *,
    from_start: bool,
) -> Version:
    """The version's row and tables, made where they are missing; whoever was building it is ended."""
    versions = await read_versions(connection, projection.name, lock=True)
    known = next((one for one in versions if one.version == projection.version), None)
    if known is not None and known.state in ("promoted", "retained"):
        raise OperationRefusedError(
            f"{known.name} is {known.state} and kept current; to build other tables raise the projection's version,"
            f" to build these anew: polylogue projections reset {projection.name} --version {projection.version}."
        )
    fits = known is None or known.declaration == declaration(projection)
    if known is not None and not fits and not from_start:
        raise OperationRefusedError(
            f"{known.name} was begun with other tables than this software declares; begin anew with --from-start."
        )
    await take_over(connection, projection.name, projection.version, token)
    if known is not None and not from_start:
        return known
    schema = version_schema(settings.database_schema, projection.name, projection.version)
    await connection.execute(dropping(schema))
    for table in ("projection_versions", "projection_checkpoints", "projection_states", "projection_stops"):
        await connection.execute(
            f"DELETE FROM {table} WHERE projection = %s AND version = %s",  # noqa: S608 (our own words)
            [projection.name, projection.version],
        )
    for statement in creation(schema, projection.tables):
        await connection.execute(statement)
    await connection.execute(
        "INSERT INTO projection_versions (projection, version, schema_name, declaration, state)"
        " VALUES (%s, %s, %s, %s, 'building')",
        [projection.name, projection.version, schema, declaration(projection)],
    )
    versions = await read_versions(connection, projection.name)
    return next(one for one in versions if one.version == projection.version)


async def _heads(settings: Settings) -> dict[int, LogHead]:
    return await read_heads(settings, await list_partitions(settings))


def _all(heads: Mapping[int, LogHead]) -> dict[int, int]:
    return {partition: head.end for partition, head in heads.items()}


async def _fill(
    settings: Settings,
    session: Session,
    version: Version,
    projection: Projection,
    token: str,
    *,
    until: Until,
    workers: int,
) -> AsyncGenerator[Progress, None]:
    heads = await _heads(settings)
    ends = await _ends(settings, heads, until)
    meter = _Meter(projection, ends)
    while True:
        progress = await meter.progress(session)
        yield progress
        parts = tuple((heads[partition], end) for partition, end in ends.items())
        filling = Filling(settings, projection, version.schema_name, token, parts)
        few = progress.total - progress.applied < FEW_RECORDS
        async with aclosing(fill_with(filling, 0 if few else workers)) as filled:
            async for _ in filled:
                yield await meter.progress(session)
        if until is not None:
            break
        await _patiently(lambda: _index(session, version, projection))
        heads = await _heads(settings)
        ends = meter.ends = _all(heads)
        progress = await meter.progress(session)
        if progress.total - progress.applied <= CAUGHT_UP_RECORDS:
            await _patiently(lambda: _ready(session, version, projection, token))
            break
    yield await meter.progress(session, done=True)


async def _ends(settings: Settings, heads: Mapping[int, LogHead], until: Until) -> dict[int, int]:
    ends = _all(heads)
    if isinstance(until, datetime):
        at = await offsets_at(settings, ends, round(until.timestamp() * 1000))
        return {partition: at[partition] for partition in ends}
    return ends if until is None else {partition: min(end, until) for partition, end in ends.items()}


async def _index(session: Session, version: Version, projection: Projection) -> None:
    """What the log has grown by meanwhile is read before the version is ready."""
    async with session.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")  # nobody waits for it but this rebuild
        for statement in indexing(version.schema_name, projection.tables):
            await connection.execute(statement)


async def _ready(session: Session, version: Version, projection: Projection, token: str) -> None:
    """Hands the version to the live projector; once more where the answer to the commit was lost, without harm."""
    async with session.transaction() as connection:
        await connection.execute(
            "UPDATE projection_versions SET state = 'ready', orders = orders + 1"
            " WHERE projection = %s AND version = %s AND state = 'building'",
            [projection.name, projection.version],
        )
        await leave(connection, projection.name, projection.version, token)
        for table in projection.tables:
            # So that the first reader after the promotion has a good plan.
            place = Identifier(version.schema_name, table.name)
            await connection.execute(SQL("ANALYZE {}").format(place))


async def _patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Once Postgres is back, where it goes away under a step that may be done twice."""
    patience = Patience("postgres", asyncio.Event(), log)
    while True:
        try:
            await step()
        except psycopg.OperationalError as error:
            await patience.wait(error)
        else:
            patience.over()
            return


async def _depart(session: Session, projection: Projection, token: str) -> None:
    connection = session.opened
    if connection is not None:
        # Without the note its successor asks Postgres to end sessions that are none any more.
        with suppress(psycopg.Error):
            await leave(connection, projection.name, projection.version, token)
    await session.close()


class _Meter:
    """How far the tables are, and how fast they have been filled of late."""

    def __init__(self, projection: Projection, ends: Mapping[int, int]) -> None:
        self._projection = projection
        self.ends = ends
        self._offsets: Mapping[int, int] = {}
        self._seen: deque[tuple[float, int]] = deque()

    async def progress(self, session: Session, *, done: bool = False) -> Progress:
        """As it was before while Postgres is away: its return is for the workers to wait for."""
        with suppress(psycopg.OperationalError):
            cursor = await (await session.connection()).execute(
                'SELECT "partition", next_offset FROM projection_checkpoints'
                " WHERE projection = %s AND version = %s",
                [self._projection.name, self._projection.version],
            )
            self._offsets = {int(row[0]): int(row[1]) for row in await cursor.fetchall()}
        offsets = self._offsets
        applied = sum(min(offsets.get(partition, 0), end) for partition, end in self.ends.items())
        total, now = sum(self.ends.values()), time.monotonic()
        self._seen.append((now, applied))
        while self._seen[0][0] < now - SPEED_OVER_S:
            self._seen.popleft()
        began, before = self._seen[0]
        speed = (applied - before) / (now - began) if now > began else 0.0
        return Progress(
            projection=self._projection.name,
            version=self._projection.version,
            applied=applied,
            total=total,
            events_per_s=speed,
            eta_s=(total - applied) / speed if speed > 0 else None,
            next_offsets=offsets,
            done=done,
        )
