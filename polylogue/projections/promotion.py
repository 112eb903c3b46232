"""Which version readers see: promote and roll back in one transaction, and prune what nobody is to see again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

from polylogue.infra.settings import Settings
from polylogue.projections.builders import end_sessions
from polylogue.projections.protocol import Projection
from polylogue.projections.session import Session
from polylogue.projections.tables_sql import dropping, view, without_view
from polylogue.projections.versions import (
    OperationRefusedError,
    Version,
    find,
    of_code,
    read_versions,
)

# Readers queue behind whoever waits for a lock on their view: wait so little that nobody notices, and ask again.
LOCK_TIMEOUT = "100ms"
ASK_EVERY_S = 0.05
TIMEOUT_S = 30.0
OLD_READERS_S = 2.0  # a request's reads take milliseconds; who reads for longer is no request


@dataclass(frozen=True)
class Swapped:
    """What readers see now, and what they saw before."""

    projection: str
    promoted: int
    retained: int | None


async def promote(
    settings: Settings,
    name: str,
    version: int | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    dry_run: bool = False,
    projection: Projection | None = None,
) -> Swapped:
    """Shows readers the version, by default the code's newest, once it is as far as the one that they see.

    The former one is kept current. Raises OperationRefusedError.
    """
    projection = projection or of_code(name, version)
    return await _swap(settings, projection, timeout_s=timeout_s, dry_run=dry_run)


async def rollback(
    settings: Settings,
    name: str,
    *,
    timeout_s: float = TIMEOUT_S,
    dry_run: bool = False,
    projection: Projection | None = None,
) -> Swapped:
    """Shows readers the version that was promoted before. Raises OperationRefusedError where none is retained."""
    session = Session(settings)
    try:
        versions = await read_versions(await session.connection(), name)
    finally:
        await session.close()
    retained = [one for one in versions if one.state == "retained" and one.promoted_at is not None]
    if not retained:
        raise OperationRefusedError(f"Nothing to roll back to: no former version of {name} is retained.")
    former = max(retained, key=lambda one: (one.promoted_at, one.version))
    projection = projection or of_code(name, former.version)
    return await _swap(settings, projection, timeout_s=timeout_s, dry_run=dry_run)


async def _swap(settings: Settings, projection: Projection, *, timeout_s: float, dry_run: bool) -> Swapped:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    session = Session(settings, lock_timeout=LOCK_TIMEOUT)
    waits_for = "locks"
    try:
        while True:
            try:
                async with session.transaction() as connection:
                    return await _try_swap(connection, settings.database_schema, projection, dry_run=dry_run)
            except _NotYetError as error:
                waits_for = str(error)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                waits_for = "a reader or a writer holds what must be swapped"
            if loop.time() > deadline:
                raise OperationRefusedError(
                    f"{projection.name} v{projection.version} was not promoted within {timeout_s:g} s: {waits_for}."
                )
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        await session.close()


class _NotYetError(Exception):
    """Trying again in a moment may do; the message says what is waited for."""


async def _try_swap(
    connection: AsyncConnection[Any], database_schema: str, projection: Projection, *, dry_run: bool
) -> Swapped:
    versions = await read_versions(connection, projection.name, lock=True)
    new = find(versions, projection.name, projection.version)
    old = next((one for one in versions if one.state == "promoted"), None)
    if new.state == "promoted":
        raise OperationRefusedError(f"{new.name} is promoted already.")
    if new.state == "building":
        raise OperationRefusedError(
            f"{new.name} is being built; go on with: polylogue projections rebuild {new.projection}."
        )
    if old is not None:
        await _as_far(connection, old, new)
        await _old_readers_gone(connection)
    swapped = Swapped(projection.name, new.version, old.version if old else None)
    if dry_run:
        return swapped
    for table in projection.tables:
        await connection.execute(without_view(database_schema, table.name))
        await connection.execute(view(database_schema, new.schema_name, table))
    await connection.execute(
        "UPDATE projection_versions SET state = 'retained', orders = orders + 1"
        " WHERE projection = %s AND state = 'promoted'",
        [projection.name],
    )
    await connection.execute(
        "UPDATE projection_versions SET state = 'promoted', promoted_at = clock_timestamp(), orders = orders + 1"
        " WHERE projection = %s AND version = %s",
        [projection.name, new.version],
    )
    return swapped


async def _as_far(connection: AsyncConnection[Any], old: Version, new: Version) -> None:
    """Neither moves from here on. Raises _NotYetError where readers would see something older than before."""
    cursor = await connection.execute(
        'SELECT version, "partition", log_id, next_offset FROM projection_checkpoints'
        ' WHERE projection = %s AND version IN (%s, %s) ORDER BY version, "partition" FOR UPDATE',
        [old.projection, old.version, new.version],
    )
    places = {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}
    for (version, partition), (log_id, offset) in places.items():
        if version != old.version:
            continue
        other_log, reached = places.get((new.version, partition), (log_id, 0))
        if other_log == log_id and reached < offset:
            raise _NotYetError(
                f"partition {partition} of {new.name} stands at offset {reached}, that of {old.name} at {offset};"
                " is a projector running that carries both"
            )


async def _old_readers_gone(connection: AsyncConnection[Any]) -> None:
    """Whoever began to read before now would see the new tables as they were then. Waits a little for such requests.

    Both versions stand still meanwhile. Sessions of other users are not looked at, nor those that read on and on.
    """
    cursor = await connection.execute("SELECT clock_timestamp()")
    row = await cursor.fetchone()
    assert row is not None
    deadline = asyncio.get_running_loop().time() + OLD_READERS_S
    while asyncio.get_running_loop().time() < deadline:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
            " AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL AND backend_type = 'client backend'"
            " AND xact_start < %s AND xact_start > clock_timestamp() - make_interval(secs => %s)",
            [row[0], OLD_READERS_S],
        )
        found = await cursor.fetchone()
        if found is None or found[0] == 0:
            return
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        await asyncio.sleep(0.01)


async def prune(
    settings: Settings,
    name: str,
    version: int | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    dry_run: bool = False,
) -> list[int]:
    """Drops the tables of every retained version, or of the named one, whatever its state but promoted.

    Returns the versions. Raises OperationRefusedError.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    session = Session(settings, lock_timeout=LOCK_TIMEOUT)
    try:
        while True:
            try:
                async with session.transaction() as connection:
                    return await _try_prune(connection, name, version, dry_run=dry_run)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if loop.time() > deadline:
                    raise OperationRefusedError(
                        f"{name} was not pruned within {timeout_s:g} s: somebody reads or writes its tables."
                    ) from None
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        await session.close()


async def _try_prune(
    connection: AsyncConnection[Any], name: str, version: int | None, *, dry_run: bool
) -> list[int]:
    versions = await read_versions(connection, name, lock=True)
    if version is None:
        find(versions, name)
        doomed = [one for one in versions if one.state == "retained"]
    else:
        doomed = [find(versions, name, version)]
    if any(one.state == "promoted" for one in doomed):
        raise OperationRefusedError(
            f"{doomed[0].name} is what readers see; promote another version first, or roll back."
        )
    if dry_run:
        return [one.version for one in doomed]
    for one in doomed:
        await end_sessions(connection, one.projection, one.version)
        # Its checkpoints go with it, so that a projector that still follows it has lost every partition.
        for table in (
            "projection_checkpoints",
            "projection_states",
            "projection_stops",
            "projection_versions",
        ):
            await connection.execute(
                f"DELETE FROM {table} WHERE projection = %s AND version = %s",  # noqa: S608 (our own words)
                [one.projection, one.version],
            )
        await connection.execute(dropping(one.schema_name))
    return [one.version for one in doomed]
