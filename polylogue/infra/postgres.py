"""Postgres connections: one pool a process, every session in the product's schema and with bounded waits."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, conninfo
from psycopg_pool import AsyncConnectionPool

from polylogue.infra.settings import Settings

SESSION_OPTIONS = {
    # A process stopped inside its transaction must not hold its successor up for longer than this.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
}


def connection_string(settings: Settings, **session: str) -> str:
    """The libpq string of DATABASE_URL with search path, time-outs and keepalives. Raises SettingsError."""
    settings.require("database_url")
    options = {"search_path": settings.database_schema} | SESSION_OPTIONS | session
    return conninfo.make_conninfo(
        str(settings.database_url),
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        connect_timeout=5,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
    )


def create_pool(settings: Settings, *, max_size: int = 10) -> AsyncConnectionPool[AsyncConnection[Any]]:
    """A closed pool; the caller opens and closes it."""
    return AsyncConnectionPool(
        connection_string(settings),
        min_size=1,
        max_size=max_size,
        open=False,
        timeout=5,
        # Promoting another version of a table changes types under prepared statements.
        kwargs={"prepare_threshold": None, "autocommit": False},
    )
