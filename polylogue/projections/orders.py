"""Operators' orders to a running projector: pause, resume, skip a record, begin anew on another log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from polylogue.infra.settings import Settings
from polylogue.projections.log_heads import list_partitions, read_heads
from polylogue.projections.protocol import Projection
from polylogue.projections.session import Session
from polylogue.projections.versions import (
    EVERY_VERSION,
    OperationRefusedError,
    Skip,
    Version,
    find,
    of_code,
    read_skips,
    read_versions,
)


async def pause(settings: Settings, name: str, version: int | None = None) -> list[int]:
    """Stops writing to every version, or to the one named, until `resume`; readers go on seeing what is there."""
    return await _set_paused(settings, name, version, paused=True)


async def resume(settings: Settings, name: str, version: int | None = None) -> list[int]:
    """Goes on where `pause` or a record that could not be applied has stopped it. Returns the versions."""
    return await _set_paused(settings, name, version, paused=False)


async def _set_paused(settings: Settings, name: str, version: int | None, *, paused: bool) -> list[int]:
    session = Session(settings)
    try:
        async with session.transaction() as connection:
            chosen = await _chosen(connection, name, version)
            for one in chosen:
                await connection.execute(
                    "UPDATE projection_versions SET paused = %s WHERE projection = %s AND version = %s",
                    [paused, one.projection, one.version],
                )
                await _order(connection, one)
        return [one.version for one in chosen]
    finally:
        await session.close()


async def _order(connection: AsyncConnection[Any], version: Version) -> None:
    """Running projectors notice it, and try again what had stopped."""
    await connection.execute(
        "UPDATE projection_versions SET orders = orders + 1 WHERE projection = %s AND version = %s",
        [version.projection, version.version],
    )
    await connection.execute(
        "DELETE FROM projection_stops WHERE projection = %s AND version = %s",
        [version.projection, version.version],
    )


async def _chosen(connection: AsyncConnection[Any], name: str, version: int | None) -> list[Version]:
    versions = await read_versions(connection, name, lock=True)
    # Refuses what is not there.
    first = find(versions, name, version)
    return versions if version is None else [first]


async def skip(
    settings: Settings,
    name: str,
    *,
    partition: int,
    offset: int,
    why: str,
    version: int | None = None,
    dry_run: bool = False,
) -> Skip:
    """Leaves out one record for good, in every version or in the one named. Raises OperationRefusedError.

    Only what has not been applied can be left out: tables that hold it would differ from those that do not.
    """
    if not why.strip():
        raise OperationRefusedError("Say why the record is left out; those who verify the tables will ask.")
    there = await list_partitions(settings)
    if partition not in there:
        raise OperationRefusedError(
            f"The log has no partition {partition}; its last is {max(there, default=0)}."
        )
    heads = await read_heads(settings, [partition])
    log_id = heads[partition].log_id
    if log_id is None or not heads[partition].beginning <= offset < heads[partition].end:
        raise OperationRefusedError(f"Partition {partition} of the log has no offset {offset}.")
    session = Session(settings)
    try:
        async with session.transaction() as connection:
            chosen = await _chosen(connection, name, version)
            cursor = await connection.execute(
                "SELECT version, next_offset FROM projection_checkpoints"
                ' WHERE projection = %s AND version = ANY(%s) AND "partition" = %s AND log_id = %s FOR UPDATE',
                [name, [one.version for one in chosen], partition, log_id],
            )
            passed = [row[0] for row in await cursor.fetchall() if row[1] > offset]
            if passed:
                raise OperationRefusedError(
                    f"Offset {offset} of partition {partition} has been applied to"
                    f" {', '.join(f'{name} v{number}' for number in sorted(passed))} already."
                    + ("" if len(passed) == len(chosen) else " Name another version with --version.")
                )
            if not dry_run:
                await _record_skip(connection, chosen, name, version, (log_id, partition, offset), why=why)
            kept = await read_skips(connection, name)
            recorded = (
                one for one in kept if (one.log_id, one.partition, one.offset) == (log_id, partition, offset)
            )
            row = await (await connection.execute("SELECT now()")).fetchone()
            assert row is not None
            return next(recorded, Skip(name, version, log_id, partition, offset, why, row[0]))
    finally:
        await session.close()


async def _record_skip(
    connection: AsyncConnection[Any],
    chosen: list[Version],
    name: str,
    version: int | None,
    place: tuple[str, int, int],
    *,
    why: str,
) -> None:
    await connection.execute(
        'INSERT INTO projection_skips (projection, version, log_id, "partition", "offset", why)'
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [name, EVERY_VERSION if version is None else version, *place, why],
    )
    for one in chosen:
        await _order(connection, one)


@dataclass(frozen=True)
class Reset:
    """A version whose tables were emptied."""

    projection: str
    version: int


async def reset(
    settings: Settings,
    name: str,
    version: int | None = None,
    *,
    dry_run: bool = False,
    projection: Projection | None = None,
) -> Reset:
    """Empties the promoted version's tables, or those of the one named, and lets the projector fill them from the
    log that is there: for a topic that was made anew or restored to an earlier end. Readers see them grow.

    Raises OperationRefusedError.
    """
    session = Session(settings)
    try:
        async with session.transaction() as connection:
            found = find(await read_versions(connection, name, lock=True), name, version)
            projection = projection or of_code(name, found.version)
            if dry_run:
                return Reset(name, found.version)
            # First, so that a projector loses every partition before its tables are empty.
            for where in ("projection_checkpoints", "projection_states"):
                await connection.execute(
                    f"DELETE FROM {where} WHERE projection = %s AND version = %s",  # noqa: S608 (our own words)
                    [found.projection, found.version],
                )
            for table in projection.tables:
                await connection.execute(SQL("TRUNCATE {}").format(Identifier(found.schema_name, table.name)))
            await _order(connection, found)
        return Reset(name, found.version)
    except psycopg.errors.LockNotAvailable:
        raise OperationRefusedError(
            f"The tables of {name} could not be emptied: somebody reads or writes them for seconds; try again."
        ) from None
    finally:
        await session.close()
