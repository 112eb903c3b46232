"""The migrations on real Postgres: forward, back to nothing, forward again, and from several processes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.migrate import downgrade, upgrade

pytestmark = pytest.mark.stack

Columns = list[tuple[str, str, str, str]]


def _relations(settings: Settings) -> list[str]:
    with psycopg.connect(connection_string(settings)) as connection:
        return [
            row[0]
            for row in connection.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s ORDER BY 1",
                [settings.database_schema],
            )
        ]


def _columns(settings: Settings) -> Columns:
    with psycopg.connect(connection_string(settings)) as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = %s ORDER BY table_name, ordinal_position",
            [settings.database_schema],
        ).fetchall()


def test_upgrade_makes_every_table_that_others_read(settings: Settings) -> None:
    upgrade(settings)

    assert {
        "submissions",
        "conversations",
        "conversation_turns",
        "conversation_messages",
        "media_objects",
        "projection_checkpoints",
        "projection_states",
    } <= set(_relations(settings))


def test_media_urls_is_null_in_rows_that_were_there_before_and_may_stay_so(settings: Settings) -> None:
    upgrade(settings)

    assert ("conversation_messages", "media_urls", "json", "YES") in _columns(settings)


def test_a_second_upgrade_changes_nothing(settings: Settings) -> None:
    upgrade(settings)
    before = _relations(settings), _columns(settings)

    upgrade(settings)

    assert (_relations(settings), _columns(settings)) == before


def test_downgrade_to_base_leaves_the_schema_empty_and_upgrade_works_again(settings: Settings) -> None:
    upgrade(settings)
    before = _relations(settings), _columns(settings)

    downgrade(settings, "base")
    assert _relations(settings) == []

    upgrade(settings)
    assert (_relations(settings), _columns(settings)) == before


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_each_step_can_be_taken_back_and_forth(settings: Settings, revision: str) -> None:
    upgrade(settings, revision)
    partial = _relations(settings)
    upgrade(settings)
    whole = _relations(settings)

    downgrade(settings, revision)
    assert _relations(settings) == partial

    upgrade(settings)
    assert _relations(settings) == whole


def test_processes_that_upgrade_at_once_take_turns(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(upgrade, settings) for _ in range(4)]:
            done.result()

    with psycopg.connect(connection_string(settings)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0008",)]
