"""What is done to the projector: kills, bad records, foreign logs, a server gone; nothing of it shows in the tables."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import structlog
from prometheus_client import REGISTRY
from pydantic import PostgresDsn

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.migrate import upgrade
from tests.support.events import Story, interleave, produce_events, produce_raw, sample_story
from tests.support.processes import process
from tests.support.tables import (
    PARTITIONS,
    assert_equal_to_replay,
    caught_up,
    ends,
    id_on,
    projector,
    query,
    tables,
    until,
)
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack


async def test_kill_in_the_middle_of_a_batch_leaves_the_tables_equal_to_a_replay(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(8)]
    events = interleave(*stories)
    third = len(events) // 3
    await produce_events(prepared, events[:third])
    with process("projector", prepared) as first:
        await caught_up(prepared)
        # Each projector transaction now waits inside, after its checkpoint was advanced and before its rows.
        with psycopg.connect(connection_string(prepared, idle_in_transaction_session_timeout="0")) as blocker:
            blocker.execute("LOCK TABLE projection_states IN EXCLUSIVE MODE")
            await produce_events(prepared, events[third : 2 * third])
            await until(lambda: len(_blocked(prepared)) == len(PROJECTIONS))
            first.kill()
    await until(lambda: not _blocked(prepared))
    with process("projector", prepared):
        await produce_events(prepared, events[2 * third :])
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_kills_at_any_moment_leave_the_tables_equal_to_a_replay(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(10)]
    events = interleave(*stories)
    half = len(events) // 2
    for start in range(0, len(events), half):
        before = ends(prepared)
        with process("projector", prepared) as doomed:
            for step in range(start, min(start + half, len(events)), 20):
                await produce_events(prepared, events[step : min(step + 20, start + half)])
            await until(lambda before=before: ends(prepared) != before)  # type: ignore[misc]
            doomed.kill()
    async with projector(prepared):
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


def _blocked(settings: Settings) -> list[dict[str, Any]]:
    return query(
        settings,
        "SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " WHERE NOT l.granted AND c.oid = 'projection_states'::regclass",
    )


async def test_sigterm_ends_the_process_cleanly_and_leaves_the_groups(prepared: Settings) -> None:
    with process("projector", prepared, KAFKA_SESSION_TIMEOUT_MS="300000") as running:
        await produce_events(prepared, sample_story().events)
        await caught_up(prepared)
        assert await asyncio.to_thread(running.stop, within_s=10) == 0
        assert "group_not_left" not in running.text()
    # A dead member would hold its successor up for the five minutes of its session.
    await produce_events(prepared, sample_story().events)
    async with projector(prepared):
        await caught_up(prepared)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\xff not json", "garbage"),
        (b'{"type": "ConversationEnchanted", "version": 1, "data": {}}', "unknown type"),
        (b'{"type": "TextAppended", "version": 99, "data": {}}', "newer version"),
    ],
    ids=["garbage", "unknown type", "newer version"],
)
async def test_what_cannot_be_read_stops_its_partition_with_an_alarm_and_the_others_go_on(
    prepared: Settings, bad: bytes, reason: str
) -> None:
    before, after, elsewhere = Story(id_on(0)), Story(id_on(0)), Story(id_on(1))
    for story in (before, after, elsewhere):
        story.ask("Hello", "sim/text", start=story.conversation_id)
    await produce_events(prepared, before.events)
    ((_, offset),) = await produce_raw(prepared, [(0, b"x", bad)])
    await produce_events(prepared, after.events)

    with structlog.testing.capture_logs() as logs:
        async with projector(prepared):
            await until(lambda: set(ends(prepared).values()) and _stopped_everywhere(1))
            await produce_events(prepared, elsewhere.events)
            await until(
                lambda: query(
                    prepared,
                    "SELECT FROM conversations WHERE conversation_id = %s",
                    elsewhere.conversation_id,
                )
            )
            assert _stopped_everywhere(1)

    alarms = [line for line in logs if line["event"] == "partition_stopped"]
    assert {alarm["projection"] for alarm in alarms} == {projection.name for projection in PROJECTIONS}
    for alarm in alarms:
        assert alarm["log_level"] == "error"
        assert (alarm["topic"], alarm["partition"]) == (topic_name(prepared, CONVERSATION_EVENTS), 0)
        assert alarm["offset"] == offset
        assert reason in alarm["reason"]
    # What came before it is there, what came after it is not.
    assert {end for (_, partition), end in ends(prepared).items() if partition == 0} == {offset}
    known = {row["conversation_id"] for row in query(prepared, "SELECT conversation_id FROM conversations")}
    assert known == {before.conversation_id, elsewhere.conversation_id}


async def test_an_event_that_the_tables_refuse_stops_its_partition_at_its_offset(prepared: Settings) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Hello", "sim/text", start="Hello")
    answer.begin().text("before")
    placed = await produce_events(prepared, story.events)
    unfit = Story(id_on(0))
    for other in range(3):
        unfit.ask(f"{other}", "sim/text", start="Unfit", round=2**31 if other == 1 else 1)
    unfit_at = (await produce_events(prepared, unfit.events))[3]

    with structlog.testing.capture_logs() as logs:
        async with projector(prepared):
            await until(lambda: _stopped("conversations") == 1)

    (alarm,) = [
        line
        for line in logs
        if line["event"] == "partition_stopped" and line["projection"] == "conversations"
    ]
    assert alarm["offset"] == unfit_at[1] > placed[-1][1]
    assert ends(prepared)["conversations", 0] == unfit_at[1]
    assert len(query(prepared, "SELECT FROM conversations")) == 2


def _stopped(projection: str) -> float | None:
    return REGISTRY.get_sample_value(
        "polylogue_projector_stopped_partitions", {"projection": projection, "version": "1"}
    )


def _stopped_everywhere(count: int) -> bool:
    return all(_stopped(projection.name) == count for projection in PROJECTIONS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("log_id = 'another'", "the topic was made anew"),
        ("next_offset = 1000000", "the log has lost its end"),
    ],
    ids=["another log", "an offset past the head"],
)
async def test_a_checkpoint_of_something_else_is_refused_with_a_sentence(
    prepared: Settings, change: str, sentence: str
) -> None:
    story = sample_story(id_on(0))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    with psycopg.connect(connection_string(prepared)) as connection:
        connection.execute(f'UPDATE projection_checkpoints SET {change} WHERE "partition" = 0')  # type: ignore[arg-type]
    before = tables(prepared)
    story.rename("Unseen")
    await produce_events(prepared, story.events[-1:])

    with structlog.testing.capture_logs() as logs:
        async with projector(prepared):
            await until(lambda: _stopped_everywhere(1))

    reasons = [line["reason"] for line in logs if line["event"] == "partition_stopped"]
    assert len(reasons) == len(PROJECTIONS)
    assert all(sentence in reason and "polylogue projections reset" in reason for reason in reasons)
    assert tables(prepared) == before


async def test_while_postgres_is_away_the_projector_waits_and_loses_nothing(prepared: Settings) -> None:
    url = urlsplit(str(prepared.database_url))
    events = interleave(*(sample_story() for _ in range(3)))
    half = len(events) // 2
    async with TcpProxy(str(url.hostname), url.port or 5432) as proxy:
        login = url.netloc.rpartition("@")[0]
        through = PostgresDsn(urlunsplit(url._replace(netloc=f"{login}@127.0.0.1:{proxy.port}")))
        with structlog.testing.capture_logs() as logs:
            async with projector(prepared.model_copy(update={"database_url": through})):
                await produce_events(prepared, events[:half])
                await caught_up(prepared)
                await proxy.cut()
                await produce_events(prepared, events[half:])
                await until(lambda: len(_lines(logs, "postgres_away")) == len(PROJECTIONS))
                before = ends(prepared)
                await proxy.restore()
                await caught_up(prepared)
                assert ends(prepared) != before
    # One line a projection and change, however often it tried.
    assert len(_lines(logs, "postgres_away")) == len(PROJECTIONS)
    assert len(_lines(logs, "postgres_back")) == len(PROJECTIONS)
    await assert_equal_to_replay(prepared)


def _lines(logs: Sequence[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    return [line for line in logs if line["event"] == event]


async def test_a_projector_that_starts_before_its_topics_and_tables_waits_for_them(
    settings: Settings,
) -> None:
    story = sample_story(id_on(0))
    with structlog.testing.capture_logs() as logs:
        async with projector(settings):
            await apply_topics(settings, partitions=PARTITIONS)
            await produce_events(settings, story.events)
            await until(lambda: len(_lines(logs, "tables_away")) == 1)
            await asyncio.to_thread(upgrade, settings)
            await caught_up(settings)

    assert len(_lines(logs, "tables_back")) == 1
    await assert_equal_to_replay(settings)
