"""Which database sessions a rebuild runs on, so that its successor ends them wherever they stand.

A COPY whose client stands still is ended by no time-out; whoever goes on with a rebuild asks Postgres to end it.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

GONE_WITHIN_MS = 5000  # a session ends at once unless its server is overloaded


class TakenOverError(Exception):
    """Another rebuild of the same version has begun; this one has lost its tables to it."""


async def take_over(connection: AsyncConnection[Any], projection: str, version: int, token: str) -> None:
    """Ends the sessions of whoever was building the version; from here on `token` builds it. One transaction."""
    await end_sessions(connection, projection, version)
    await _enter(connection, projection, version, token)


async def end_sessions(connection: AsyncConnection[Any], projection: str, version: int) -> None:
    """Comes back when they are gone, with their locks."""
    await connection.execute(
        f"SELECT pg_terminate_backend(pid, {GONE_WITHIN_MS}) FROM projection_builders"  # noqa: S608 (our own number)
        # A pid may have been given to somebody else since.
        " JOIN pg_stat_activity USING (pid, backend_start)"
        " WHERE projection = %s AND version = %s AND pid <> pg_backend_pid()",
        [projection, version],
    )
    await connection.execute(
        "DELETE FROM projection_builders WHERE projection = %s AND version = %s", [projection, version]
    )


async def join(connection: AsyncConnection[Any], projection: str, version: int, token: str) -> None:
    """Makes this session one of the rebuild's. Raises TakenOverError."""
    cursor = await connection.execute(
        # Held to the end of the transaction: whoever takes over then sees this session too.
        "SELECT FROM projection_builders WHERE projection = %s AND version = %s AND token = %s LIMIT 1 FOR SHARE",
        [projection, version, token],
    )
    if cursor.rowcount == 0:
        raise TakenOverError(
            f"Another rebuild of {projection} v{version} has begun and goes on instead of this one."
        )
    await _enter(connection, projection, version, token)


async def _enter(connection: AsyncConnection[Any], projection: str, version: int, token: str) -> None:
    await connection.execute(
        "INSERT INTO projection_builders (projection, version, token, pid, backend_start)"
        " SELECT %s, %s, %s, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        " ON CONFLICT (projection, version, pid) DO UPDATE SET token = EXCLUDED.token,"
        " backend_start = EXCLUDED.backend_start",
        [projection, version, token],
    )


async def leave(connection: AsyncConnection[Any], projection: str, version: int, token: str) -> None:
    """The rebuild is over; none of its sessions is to be ended any more."""
    await connection.execute(
        "DELETE FROM projection_builders WHERE projection = %s AND version = %s AND token = %s",
        [projection, version, token],
    )
