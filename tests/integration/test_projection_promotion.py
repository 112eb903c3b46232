"""Promoting beside readers that take their time, software that knows no other version, and a log that grows."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections import operations
from polylogue.projections.catalogue import PROJECTIONS
from tests.support.events import Story, produce_events, sample_story
from tests.support.projections import MessagesV2
from tests.support.tables import caught_up, id_on, projector, query

pytestmark = pytest.mark.stack

NAME = "conversation_messages"
CARRIED = MessagesV2()
BOTH = (*PROJECTIONS, CARRIED)
READ = "SELECT count(content) FROM conversation_messages"


async def _rebuilt(settings: Settings) -> None:
    async for _ in operations.rebuild(settings, NAME, projection=CARRIED, workers=0):
        pass


def _count(settings: Settings, version: int) -> int:
    schema = f"{settings.database_schema}__{NAME}_v{version}"
    return int(query(settings, f"SELECT count(*) AS n FROM {schema}.conversation_messages")[0]["n"])


async def test_a_promotion_waits_for_a_long_reader_and_keeps_no_other_waiting(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared, BOTH):
        await _rebuilt(prepared)
        await caught_up(prepared)
        with (
            psycopg.connect(connection_string(prepared, idle_in_transaction_session_timeout="0")) as long,
            psycopg.connect(connection_string(prepared), autocommit=True) as short,
        ):
            long.execute(READ)
            promotion = asyncio.create_task(
                operations.promote(prepared, NAME, projection=CARRIED, timeout_s=120)
            )
            slowest, deadline = 0.0, time.monotonic() + 4
            while time.monotonic() < deadline:
                began = time.monotonic()
                await asyncio.to_thread(short.execute, READ)
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.01)
            assert not promotion.done()
            long.rollback()
            assert (await promotion).promoted == 2
    # Behind the promotion's lock nobody stands for longer than 100 ms; the rest is the machine's.
    assert slowest < 2


async def test_older_software_goes_on_writing_its_own_version_and_never_the_promoted_one(
    prepared: Settings,
) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        async with projector(prepared, BOTH):
            await _rebuilt(prepared)
            await operations.wait_for_lag(prepared, timeout_s=60)
            await operations.promote(prepared, NAME, projection=CARRIED, timeout_s=60)
        # Only the older software is left.
        before = _count(prepared, 2)
        await produce_events(prepared, sample_story(id_on(0)).events)
        async with asyncio.timeout(60):
            while _count(prepared, 1) != 2 * before:
                await asyncio.sleep(0.05)
        assert _count(prepared, 2) == before

    async with projector(prepared, BOTH):
        await operations.wait_for_lag(prepared, timeout_s=60)
    assert _count(prepared, 2) == _count(prepared, 1)
    assert (await operations.verify(prepared, NAME, workers=0, projection=CARRIED)).equal


async def test_verify_compares_at_one_position_while_live_goes_on(prepared: Settings) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin()
    await produce_events(prepared, story.events)
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            told = len(story.events)
            answer.text(*(f"{number} " for number in range(10)))
            await produce_events(prepared, story.events[told:])

    async with projector(prepared):
        await caught_up(prepared)
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            positions = []
            for _ in range(3):
                verified = await operations.verify(prepared, NAME, workers=0)
                assert verified.equal, verified.differences
                positions.append(verified.position[0])
            stop.set()
    assert positions == sorted(set(positions)), "live did not go on"


async def test_a_rebuild_can_stop_at_a_time(prepared: Settings) -> None:
    first = await produce_events(prepared, sample_story(id_on(0)).events)
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    at = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await produce_events(prepared, sample_story(id_on(0)).events)

    progress = [
        one async for one in operations.rebuild(prepared, NAME, projection=CARRIED, workers=0, until=at)
    ]

    assert progress[-1].done
    assert progress[-1].next_offsets[0] == first[-1][1] + 1


async def test_whoever_begins_a_rebuild_last_has_it(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    former = operations.rebuild(prepared, NAME, projection=CARRIED, workers=1, until=30)
    assert not (await anext(former)).done

    await _rebuilt(prepared)

    with pytest.raises(operations.TakenOverError):
        async for _ in former:
            pass
    assert (await operations.verify(prepared, NAME, version=2, workers=0, projection=CARRIED)).equal
