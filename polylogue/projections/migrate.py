"""Brings the tables of DATABASE_SCHEMA to a revision, forward or back; copies that start together take turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, text

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.install import install

VERSION_TABLE = "alembic_version"
_MIGRATIONS = Path(__file__).parent / "migrations"


class AccountsWouldGoError(Exception):
    """Users and their keys are in no log: once their tables are dropped, nothing brings them back."""


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Blocks until the schema exists and is at `revision` or later; at `head` every projection has its tables."""
    with _locked(settings) as connection:
        command.upgrade(_config(connection), revision)
        if revision == "head":
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            install(driver, settings.database_schema, PROJECTIONS)


def downgrade(settings: Settings, revision: str, *, drop_accounts: bool = False) -> None:
    """Blocks until the schema is back at `revision`; `base` leaves it empty.

    Raises AccountsWouldGoError, and changes nothing, where users would go who have accounts.
    """
    with _locked(settings) as connection:
        users = _users(connection)
        command.downgrade(_config(connection), revision)
        if users and not drop_accounts and not _users(connection):
            raise AccountsWouldGoError(
                f"Revision {revision} has no table for the {users} users that there are."
            )
        if revision == "base":
            connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))


@contextmanager
def _locked(settings: Settings) -> Iterator[Connection]:
    """One transaction in the schema, held by one process at a time: all of a migration happens or none of it."""
    # A migration, or waiting for another process's, may take longer than an ordinary statement.
    conninfo = connection_string(settings, lock_timeout="120s", statement_timeout="300s")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )
    schema = settings.database_schema
    with engine.begin() as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:lock))"), {"lock": f"migrate {schema}"}
        )
        # The settings allow lower-case identifiers only.
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        yield connection


def _users(connection: Connection) -> int:
    if connection.scalar(text("SELECT to_regclass('users')")) is None:
        return 0
    return int(connection.scalar(text("SELECT count(*) FROM users")) or 0)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
