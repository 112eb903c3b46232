"""The migration to versions loses nothing either way, and the tables that it moves are those that the code declares."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.install import install
from polylogue.projections.migrate import downgrade, upgrade
from polylogue.projections.protocol import Projection
from polylogue.projections.tables_sql import creation, dropping, indexing, version_schema
from tests.support.projections import MessagesV2, WordsDaily
from tests.support.tables import query

pytestmark = pytest.mark.stack

MOVED = ("conversations", "conversation_messages", "media_objects")


def _columns(settings: Settings, schema: str) -> set[tuple[Any, ...]]:
    rows = query(
        settings,
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = %s",
        schema,
    )
    return {tuple(row.values()) for row in rows}


def _indexes(settings: Settings, schema: str) -> set[tuple[str, str]]:
    rows = query(settings, "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = %s", schema)
    return {(row["tablename"], row["indexdef"].split(" USING ")[1]) for row in rows}


@pytest.mark.parametrize(
    "projection", [one for one in PROJECTIONS if one.name in MOVED], ids=lambda projection: projection.name
)
def test_the_tables_that_were_moved_are_those_that_the_code_declares(
    settings: Settings, projection: Projection
) -> None:
    upgrade(settings)
    scratch = f"{settings.database_schema}_declared"
    with psycopg.connect(connection_string(settings)) as connection:
        for statement in (*creation(scratch, projection.tables), *indexing(scratch, projection.tables)):
            connection.execute(statement)

    moved = version_schema(settings.database_schema, projection.name, 1)
    assert _columns(settings, moved) == _columns(settings, scratch)
    assert _indexes(settings, moved) == _indexes(settings, scratch)


def test_what_the_tables_held_is_there_after_the_migration_and_after_going_back(settings: Settings) -> None:
    upgrade(settings, "0005")
    with psycopg.connect(connection_string(settings)) as connection:
        connection.execute(
            "INSERT INTO media_objects (media_id, conversation_id, turn_id, response_id, owner_id, model_id, media_type,"
            " status, retry, position, created_at, updated_at)"
            " VALUES ('m', 'c', 't', 'r', 'o', 'sim/x', 'image', 'stored', 0, 1, now(), now())"
        )
        connection.execute(
            "INSERT INTO conversation_messages (message_id, conversation_id, turn_id, owner_id, role, content, status,"
            " position, attempt, created_at) VALUES ('m', 'c', 't', 'o', 'user', 'Hello', 'completed', 0, 0, now())"
        )
        connection.execute("INSERT INTO projection_checkpoints VALUES ('media_objects', 1, 0, 'log', 7)")
    before = (
        query(settings, "SELECT * FROM media_objects"),
        query(settings, "SELECT * FROM conversation_messages"),
    )

    upgrade(settings)
    assert query(settings, "SELECT * FROM media_objects") == before[0]
    assert query(settings, "SELECT * FROM conversation_messages") == before[1]
    assert before[1][0]["media_urls"] is None

    downgrade(settings, "0005")
    assert query(settings, "SELECT * FROM media_objects") == before[0]
    assert query(settings, "SELECT * FROM conversation_messages") == before[1]
    left = query(
        settings,
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)",
        f"{settings.database_schema}__",
    )
    assert left == []
    assert query(settings, "SELECT next_offset FROM projection_checkpoints") == [{"next_offset": 7}]


def test_software_from_before_the_migration_goes_on_writing_through_the_views(settings: Settings) -> None:
    upgrade(settings)
    with psycopg.connect(connection_string(settings)) as connection:
        for content in ("Hello", "Hello again"):
            connection.execute(
                "INSERT INTO conversation_messages (message_id, conversation_id, turn_id, owner_id, role, content,"
                " status, position, attempt, created_at) VALUES ('m', 'c', 't', 'o', 'user', %s, 'completed', 0, 0, now())"
                " ON CONFLICT (message_id) DO UPDATE SET content = EXCLUDED.content",
                [content],
            )

    moved = version_schema(settings.database_schema, "conversation_messages", 1)
    rows = query(settings, f"SELECT content FROM {moved}.conversation_messages")
    assert rows == [{"content": "Hello again"}]


def test_a_new_projection_has_tables_and_a_view_at_once_and_a_new_version_waits_for_its_rebuild(
    settings: Settings,
) -> None:
    upgrade(settings)
    carried = (*PROJECTIONS, WordsDaily(), MessagesV2())
    with psycopg.connect(connection_string(settings)) as connection:
        connection.execute(
            "INSERT INTO projection_checkpoints VALUES ('conversation_messages', 1, 0, 'log', 7)"
        )
        for _ in range(2):
            install(connection, settings.database_schema, carried)

    assert query(settings, "SELECT model_id, day, words FROM words_daily") == []
    rows = query(settings, "SELECT projection, version, state FROM projection_versions")
    states = {(row["projection"], row["version"]): row["state"] for row in rows}
    assert states["words_daily", 1] == "promoted"
    assert states["conversation_messages", 1] == "promoted"
    assert ("conversation_messages", 2) not in states


def test_where_nothing_was_ever_built_the_newest_version_is_the_first(settings: Settings) -> None:
    upgrade(settings)
    with psycopg.connect(connection_string(settings)) as connection:
        install(connection, settings.database_schema, (*PROJECTIONS, MessagesV2()))

    rows = query(
        settings, "SELECT version, state FROM projection_versions WHERE projection = 'conversation_messages'"
    )
    assert rows == [{"version": 2, "state": "promoted"}]


def test_schemas_of_long_names_are_told_apart(settings: Settings) -> None:
    long = "p" * 60
    names = {version_schema("s" * 60, f"{long}{end}", version) for end in "ab" for version in (1, 2)}

    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)
    with psycopg.connect(connection_string(settings)) as connection:
        for name in names:
            connection.execute(dropping(name))
