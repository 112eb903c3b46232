"""One Postgres connection, opened when it is needed and anew after it was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings

# For a rebuild: a commit does not wait for the disk. Where Postgres crashes, the last moments of rows and checkpoint are
# lost together, and whoever goes on reads them from the log again. Not for a live projector, which would hear of it
# only with the next event.
AT_ONCE = {"synchronous_commit": "off"}


class Session:
    def __init__(self, settings: Settings, *schemas: str, **options: str) -> None:
        """Tables are looked for in `schemas`, then in DATABASE_SCHEMA; `options` are the session's."""
        path = ",".join((*schemas, settings.database_schema))
        self._conninfo = connection_string(settings, search_path=path, **options)
        self._connection: AsyncConnection[Any] | None = None

    async def connection(self) -> AsyncConnection[Any]:
        """An open connection without a transaction. Raises psycopg.OperationalError."""
        if self._connection is None or self._connection.broken or self._connection.closed:
            self._connection = None
            # Promoting another version of a table changes types under prepared statements.
            self._connection = await AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )
        return self._connection

    @property
    def opened(self) -> AsyncConnection[Any] | None:
        """The connection, if there is one that can be used."""
        usable = self._connection is not None and not (self._connection.broken or self._connection.closed)
        return self._connection if usable else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        connection = await self.connection()
        async with connection.transaction():
            yield connection

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
