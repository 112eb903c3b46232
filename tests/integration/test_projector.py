"""The projector on real Kafka and Postgres: what its tables hold, and that nothing it goes through shows in them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from pydantic import PostgresDsn

from polylogue.infra.kafka import client_options, partition_for
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.batches import apply_batch
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.checkpoints import PartitionLostError, take
from polylogue.projections.follower import group_id
from polylogue.projections.log_heads import LogHead, read_heads
from polylogue.projections.migrate import upgrade
from polylogue.projections.projector import serve
from polylogue.projections.protocol import Projection
from polylogue.projections.replay import replay
from polylogue.schemas.codec import event_codec
from tests.support.events import Story, interleave, numbered, produce_events, produce_raw, sample_story
from tests.support.processes import process
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

PARTITIONS = 3


async def until(condition: Callable[[], Any], *, timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 (nothing here can tell of a server's row)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def projector(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


def query(settings: Settings, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with psycopg.connect(connection_string(settings), row_factory=dict_row) as connection:
        return connection.execute(sql, parameters).fetchall()  # type: ignore[arg-type]


def tables(settings: Settings, schema: str | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every projection's tables and of its reducer states, as text."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    named = settings.model_copy(update={"database_schema": schema or settings.database_schema})
    names = [table.name for projection in PROJECTIONS for table in projection.tables]
    with psycopg.connect(connection_string(named)) as connection:
        for name in [*names, "projection_states"]:
            rows = connection.execute(SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(Identifier(name)))
            found[name] = rows.fetchall()
    return found


def ends(settings: Settings) -> dict[tuple[str, int], int]:
    rows = query(settings, 'SELECT projection, "partition", next_offset FROM projection_checkpoints')
    return {(row["projection"], row["partition"]): row["next_offset"] for row in rows}


async def caught_up(settings: Settings) -> None:
    heads = await read_heads(settings, range(PARTITIONS))
    expected = {
        (projection.name, number): head.end for projection in PROJECTIONS for number, head in heads.items()
    }
    await until(lambda: ends(settings) == expected)


async def assert_equal_to_replay(settings: Settings) -> None:
    schema = f"r{secrets.token_hex(4)}"
    for projection in PROJECTIONS:
        await replay(settings, projection, schema)
    live = tables(settings)
    assert live["conversation_messages"]
    assert live == tables(settings, schema)


def id_on(partition: int) -> str:
    """A conversation id of the partition."""
    return next(
        name
        for name in iter(lambda: secrets.token_hex(16), None)
        if partition_for(name, PARTITIONS) == partition
    )


async def test_the_tables_hold_what_the_conversation_was(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    (conversation,) = query(prepared, "SELECT * FROM conversations")
    assert (conversation["title"], conversation["pinned"], conversation["partition"]) == ("Circles", True, 1)
    assert (conversation["turn_running"], conversation["deleted"]) == (False, False)
    turns = query(prepared, "SELECT * FROM conversation_turns ORDER BY start_offset")
    assert [(turn["prompt"], turn["round"], turn["finished"]) for turn in turns] == [
        ("Draw a red circle", 2, True),
        ("Say it", 1, True),
    ]
    messages = query(prepared, "SELECT * FROM conversation_messages ORDER BY turn_id, position")
    assert [message["content"] for message in messages] == [
        "Draw a red circle",
        "Here is a circle.",
        "Two pictures: ",
        "I am ",
        "Better.",
        "Say it",
        "Listen: ",
        "",
        "",
    ]
    assert messages[1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}


async def test_media_urls_are_in_order_of_appearance_and_null_where_nothing_was_stored(
    prepared: Settings,
) -> None:
    story = sample_story(id_on(0))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    rows = query(
        prepared, "SELECT model_id, media_urls FROM conversation_messages WHERE media_urls IS NOT NULL"
    )
    media = {row["model_id"]: row["media_urls"] for row in rows}
    assert media.keys() == {"sim/painter", "sim/speaker", "sim/film", "sim/gallery"}
    # The second picture was stored first.
    assert [one["media_id"][-2:] for one in media["sim/painter"]] == ["m1", "m2"]
    assert [one["status"] for one in media["sim/painter"]] == ["stored", "expired"]
    (sound,) = media["sim/speaker"]
    claim = story.claims[sound["media_id"]]
    assert claim.segments is not None
    assert sound == {
        "url": f"https://media.example/{claim.key}",
        "type": "audio",
        "format": "mp3",
        "size_bytes": claim.segments.size_bytes,
        "content_type": "audio/mpeg",
        "media_id": claim.media_id,
        "key": claim.key,
        "duration_ms": 1500,
        "sha256": claim.segments.sha256,
        "status": "stored",
    }


async def test_live_tables_equal_a_fresh_replay(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(6)]
    stories[0].delete()
    stories[0].deleted(next(iter(stories[0].claims)))
    (answer,) = stories[1].ask("Count", "sim/text")
    answer.begin().text(*(f"{number} " for number in range(1500))).complete()
    async with projector(prepared):
        # Live rows come from many small batches, those of a replay from a few large ones.
        events = interleave(*stories)
        for start in range(0, len(events), 97):
            await produce_events(prepared, events[start : start + 97])
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_no_table_keeps_what_a_deleted_conversation_said(prepared: Settings) -> None:
    story = sample_story(id_on(2))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
        assert "red circle" in repr(tables(prepared))
        told = len(story.events)
        story.delete()
        story.deleted(next(iter(story.claims)))
        await produce_events(prepared, story.events[told:])
        await caught_up(prepared)

    everything = repr(tables(prepared))
    for content in ("red circle", "Circles", "Listen", "Say it", "Better", "https:", "undecodable"):
        assert content not in everything
    assert query(prepared, "SELECT title, deleted FROM conversations") == [{"title": "", "deleted": True}]
    assert query(prepared, "SELECT * FROM conversation_messages") == []
    assert {row["status"] for row in query(prepared, "SELECT status FROM media_objects")} == {"deleted"}


async def test_a_null_character_in_a_text_does_not_stop_anything(prepared: Settings) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Say\x00it", "sim/text", start="N\x00ll")
    answer.begin().text("a\x00", "b").complete()
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    rows = query(prepared, "SELECT content FROM conversation_messages ORDER BY position")
    assert [row["content"] for row in rows] == ["Say\ufffdit", "a\ufffdb"]


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
    quarter = len(events) // 4
    for start in range(0, len(events), quarter):
        before = ends(prepared)
        with process("projector", prepared) as doomed:
            for step in range(start, min(start + quarter, len(events)), 20):
                await produce_events(prepared, events[step : min(step + 20, start + quarter)])
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
    with process("projector", prepared) as running:
        await produce_events(prepared, sample_story().events)
        await caught_up(prepared)
        assert await asyncio.to_thread(running.stop, within_s=10) == 0
        assert "group_not_left" not in running.text()
    # A dead member would hold its successor up for the session time-out of 6 s.
    await produce_events(prepared, sample_story().events)
    async with projector(prepared), asyncio.timeout(5):
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
    return REGISTRY.get_sample_value("polylogue_projector_stopped_partitions", {"projection": projection})


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
    assert all(sentence in reason and "DATABASE_SCHEMA" in reason for reason in reasons)
    assert tables(prepared) == before


async def test_the_tables_say_where_to_go_on_and_the_group_does_not(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    place = TopicPartition(topic_name(prepared, CONVERSATION_EVENTS), 1)
    for projection in PROJECTIONS:
        consumer = AIOKafkaConsumer(
            **client_options(prepared), group_id=group_id(prepared, projection), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.commit({place: len(story.events) + 1})
        finally:
            await consumer.stop()

    async with projector(prepared):
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_the_group_shows_the_lag(prepared: Settings) -> None:
    placed = await produce_events(prepared, sample_story(id_on(2)).events)
    async with projector(prepared):
        await caught_up(prepared)
    place = TopicPartition(topic_name(prepared, CONVERSATION_EVENTS), 2)
    for projection in PROJECTIONS:
        consumer = AIOKafkaConsumer(
            **client_options(prepared), group_id=group_id(prepared, projection), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            assert await consumer.committed(place) == placed[-1][1] + 1
        finally:
            await consumer.stop()


class Recorded(NamedTuple):
    """A consumer's record, as far as a batch reads it."""

    offset: int
    value: bytes | None


def _records(story: Story) -> list[Recorded]:
    return [Recorded(offset, event_codec.encode(event)) for offset, event in numbered(story.events)]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(
        connection_string(settings), autocommit=True
    ) as connection:
        yield connection


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
async def test_the_copy_that_lost_its_partition_writes_nothing(
    prepared: Settings, projection: Projection
) -> None:
    records = _records(sample_story("c"))
    head = LogHead("conversation-events", 0, 0, 1000, "aaaa")
    async with connected(prepared) as first, connected(prepared) as second:
        stale = await take(first, projection, head)
        await apply_batch(second, projection, await take(second, projection, head), records[:20])
        before = tables(prepared), ends(prepared)

        with pytest.raises(PartitionLostError):
            await apply_batch(first, projection, stale, records)

    assert (tables(prepared), ends(prepared)) == before


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
@pytest.mark.parametrize("step", [1, 7, 40])
async def test_batches_of_any_size_give_the_same_rows(
    settings: Settings, projection: Projection, step: int
) -> None:
    story = sample_story("c")
    if step == 7:
        story.delete()
    records = _records(story)
    built = []
    for size in (step, len(records)):
        target = settings.model_copy(update={"database_schema": f"s{secrets.token_hex(4)}"})
        upgrade(target)
        async with connected(target) as connection:
            checkpoint = await take(
                connection, projection, LogHead("conversation-events", 0, 0, 1000, "aaaa")
            )
            for start in range(0, len(records), size):
                applied = await apply_batch(connection, projection, checkpoint, records[start : start + size])
                assert applied.refusal is None
                checkpoint = applied.checkpoint
        built.append(tables(target))

    assert built[0] == built[1]


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


async def test_two_projectors_share_the_partitions_and_repeat_nothing(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(6)]
    events = interleave(*stories)
    half = len(events) // 2
    async with projector(prepared):
        await produce_events(prepared, events[:half])
        async with projector(prepared):
            await produce_events(prepared, events[half:-5])
            await caught_up(prepared)
        await produce_events(prepared, events[-5:])
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)
