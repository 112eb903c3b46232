"""Postgres in every trouble, and copies that stand still: the projector waits, goes on, loses nothing, repeats nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import structlog

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections import operations
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.install import install
from tests.support.events import interleave, produce_events, sample_story
from tests.support.processes import process
from tests.support.projections import WordsDaily
from tests.support.tables import (
    PARTITIONS,
    assert_equal_to_replay,
    caught_up,
    ends,
    id_on,
    projector,
    query,
    until,
)

pytestmark = pytest.mark.stack

NAME = "conversation_messages"


@contextmanager
def failing(settings: Settings, code: str) -> Iterator[None]:
    """Every write of an answer ends with the SQLSTATE, as if Postgres were in that trouble."""
    place = f"{settings.database_schema}__{NAME}_v1"
    with psycopg.connect(connection_string(settings), autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION {place}.fail() RETURNS trigger LANGUAGE plpgsql AS"  # type: ignore[arg-type]
            f" $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'in trouble'; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON {place}.conversation_messages"  # type: ignore[arg-type]
            f" FOR EACH STATEMENT EXECUTE FUNCTION {place}.fail()"
        )
        try:
            yield
        finally:
            connection.execute(f"DROP FUNCTION {place}.fail() CASCADE")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "code",
    ["53100", "53200", "53300", "40P01", "40001", "55P03", "57014", "57P01", "25006", "42501"],
    ids=[
        "disk full",
        "out of memory",
        "too many connections",
        "deadlock",
        "serialization",
        "lock not available",
        "statement timed out",
        "shutdown",
        "read-only",
        "no right",
    ],
)
async def test_whatever_trouble_postgres_is_in_the_projector_waits_and_goes_on(
    prepared: Settings, code: str
) -> None:
    stories = [sample_story(id_on(0)) for _ in range(2)]
    messages = [one for one in PROJECTIONS if one.name == NAME]
    with structlog.testing.capture_logs() as logs:
        async with projector(prepared, messages):
            await produce_events(prepared, stories[0].events)
            await operations.wait_for_lag(prepared, NAME, timeout_s=60)
            before = ends(prepared)[NAME, 0]
            with failing(prepared, code):
                await produce_events(prepared, stories[1].events)
                await until(lambda: [line for line in logs if line["event"] == "postgres_away"], timeout_s=60)
                assert ends(prepared)[NAME, 0] == before
            await operations.wait_for_lag(prepared, NAME, timeout_s=60)
    assert not [line for line in logs if line["event"] == "partition_stopped"]
    assert (await operations.verify(prepared, NAME, workers=0)).equal


_PROJECTORS = """
    FROM pg_stat_activity WHERE application_name LIKE 'projector-%%' AND datname = current_database()
"""


async def test_terminated_backends_cost_nothing_but_a_moment(prepared: Settings) -> None:
    events = interleave(*(sample_story() for _ in range(5)))
    ended = 0
    async with projector(prepared):
        for start in range(0, len(events), 40):
            await produce_events(prepared, events[start : start + 40])
            # Each has something to write, and so comes back.
            await until(
                lambda: len(query(prepared, f"SELECT {_PROJECTORS}")) >= len(PROJECTIONS), timeout_s=60
            )
            ended += len(query(prepared, f"SELECT pg_terminate_backend(pid) {_PROJECTORS}"))
        await caught_up(prepared)
    assert ended > len(PROJECTIONS)
    await assert_equal_to_replay(prepared)


async def test_a_copy_paused_in_its_transaction_holds_its_successor_up_no_longer_than_it_may(
    prepared: Settings,
) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    with process("projector", prepared) as paused:
        await caught_up(prepared)
        # Its transactions wait inside, after their checkpoints were advanced; then it stands still.
        with psycopg.connect(connection_string(prepared, idle_in_transaction_session_timeout="0")) as blocker:
            blocker.execute("LOCK TABLE projection_states IN EXCLUSIVE MODE")
            await produce_events(prepared, sample_story(id_on(0)).events)
            await until(
                lambda: query(
                    prepared,
                    "SELECT FROM pg_locks WHERE NOT granted AND relation = 'projection_states'::regclass",
                ),
                timeout_s=60,
            )
            paused.signal(signal.SIGSTOP)
        async with projector(prepared):
            # 10 s until Postgres ends its sessions, and as much until the group gives its partitions to somebody else.
            async with asyncio.timeout(60):
                await caught_up(prepared)
            paused.signal(signal.SIGCONT)
            await produce_events(prepared, sample_story(id_on(0)).events)
            await caught_up(prepared)
            assert paused.stop(within_s=30) == 0
        # It had lost its partitions, and wrote nothing of what it still held.
    await assert_equal_to_replay(prepared)


async def test_rows_that_partitions_share_are_added_up_once_each_by_two_projectors(
    prepared: Settings,
) -> None:
    carried = WordsDaily()
    with psycopg.connect(connection_string(prepared)) as connection:
        install(connection, prepared.database_schema, [carried])
    stories = [sample_story(id_on(place % PARTITIONS)) for place in range(6)]
    events = interleave(*stories)
    async with projector(prepared, [carried]), projector(prepared, [carried]):
        for start in range(0, len(events), 50):
            await produce_events(prepared, events[start : start + 50])
        await operations.wait_for_lag(prepared, "words_daily", timeout_s=60)

    verified = await operations.verify(prepared, "words_daily", workers=0, projection=carried)
    assert verified.equal, verified.differences
    rows = query(
        prepared, "SELECT model_id, sum(words)::bigint AS words FROM words_daily GROUP BY 1 ORDER BY 1"
    )
    # Of the broken answer only what came before its end counts.
    assert {row["model_id"]: row["words"] for row in rows}["sim/text"] == 4 * len(stories)
    assert {row["model_id"]: row["words"] for row in rows}["sim/failing"] == 3 * len(stories)
