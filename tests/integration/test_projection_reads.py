"""What readers see of the projections: nothing of a rebuild, nothing of a promotion, nothing of what was deleted."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections import operations
from polylogue.projections.catalogue import PROJECTIONS
from tests.support.api_server import api_server
from tests.support.events import Story, produce_events, sample_story
from tests.support.projections import MessagesV2, MessagesV3
from tests.support.tables import caught_up, id_on, projector, query

pytestmark = pytest.mark.stack

NAME = "conversation_messages"
CANARY = "cockatiel"


class Reader:
    """Reads one conversation and the list again and again; holds every answer against the one before."""

    def __init__(self, client: httpx.AsyncClient, conversation_id: str) -> None:
        self._client = client
        self._conversation_id = conversation_id
        self._content: dict[str, str] = {}
        self._updated = ""
        self.reads = 0

    async def read(self) -> None:
        answer = await self._client.get(f"/api/conversations/{self._conversation_id}")
        assert answer.status_code == 200, answer.text
        self._hold(answer.json())
        listed = await self._client.get("/api/conversations")
        assert listed.status_code == 200, listed.text
        (entry,) = [
            one for one in listed.json()["conversations"] if one["conversation_id"] == self._conversation_id
        ]
        assert entry["updated_at"] >= self._updated
        self._updated = entry["updated_at"]
        self.reads += 1

    def _hold(self, conversation: dict[str, Any]) -> None:
        now = {
            one["message_id"]: one["content"] for turn in conversation["turns"] for one in turn["messages"]
        }
        assert now.keys() >= self._content.keys()
        for message_id, before in self._content.items():
            assert now[message_id].startswith(before), "an answer has become shorter"
        self._content = now

    async def until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.read()

    @property
    def length(self) -> int:
        return sum(len(content) for content in self._content.values())


async def test_a_reader_sees_no_error_and_no_step_backward_through_rebuild_promotion_and_rollback(
    prepared: Settings,
) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin()
    await produce_events(prepared, story.events)
    carried, stop = MessagesV3(), asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            told = len(story.events)
            answer.text(*(f"{number} " for number in range(told, told + 20)))
            await produce_events(prepared, story.events[told:])

    async with projector(prepared, (*PROJECTIONS, carried)), api_server(prepared) as client:
        await caught_up(prepared)
        readers = [Reader(client, story.conversation_id) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            for reader in readers:
                group.create_task(reader.until(stop))
            async for _ in operations.rebuild(prepared, NAME, projection=carried, workers=0):
                pass
            reads = []
            for _ in range(2):
                await operations.promote(prepared, NAME, projection=carried, timeout_s=60)
                reads.append(readers[0].reads)
                await operations.rollback(prepared, NAME, timeout_s=60)
                reads.append(readers[0].reads)
            await operations.promote(prepared, NAME, projection=carried, timeout_s=60)
            await operations.prune(prepared, NAME, timeout_s=60)
            for reader in readers:
                length, seen = reader.length, reader.reads
                while reader.reads < seen + 2 or reader.length <= length:
                    await asyncio.sleep(0.05)
            stop.set()


async def test_no_version_of_any_projection_keeps_what_a_deleted_conversation_said(
    prepared: Settings,
) -> None:
    story = Story(id_on(0))
    words, painter, broken = story.ask(
        f"{CANARY} prompt", "sim/text", "sim/painter", "sim/failing", start=f"{CANARY} title", system=CANARY
    )
    words.begin().reason(f"{CANARY} reason").text(f"{CANARY} answer").complete()
    painter.begin().text(CANARY)
    picture = painter.produce()
    painter.complete()
    broken.begin().text(CANARY).fail()
    story.stored(picture)
    story.rename(f"{CANARY} renamed")
    await produce_events(prepared, story.events)
    carried = MessagesV2()
    async with projector(prepared, (*PROJECTIONS, carried)):
        async for _ in operations.rebuild(prepared, NAME, projection=carried, workers=0):
            pass
        await caught_up(prepared)
        assert f"{prepared.database_schema}__{NAME}_v1.conversation_messages" in _saying(prepared, CANARY)
        assert f"{prepared.database_schema}__{NAME}_v2.conversation_messages" in _saying(prepared, CANARY)

        await operations.promote(prepared, NAME, projection=carried, timeout_s=60)
        told = len(story.events)
        story.delete()
        story.deleted(picture)
        await produce_events(prepared, story.events[told:])
        await operations.wait_for_lag(prepared, timeout_s=60)
        # The version that is kept to go back to forgets it too.
        await operations.rollback(prepared, NAME, timeout_s=60)

        assert _saying(prepared, CANARY) == []


def _saying(settings: Settings, canary: str) -> list[str]:
    """Every table of every version, reducer states included, with a row that says it anywhere."""
    found = []
    rows = query(
        settings,
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = %s OR starts_with(schemaname, %s)",
        settings.database_schema,
        f"{settings.database_schema}__",
    )
    with psycopg.connect(connection_string(settings)) as connection:
        for row in rows:
            place = Identifier(row["schemaname"], row["tablename"])
            saying = SQL("SELECT 1 FROM {} AS t WHERE t::text ILIKE %s LIMIT 1").format(place)
            if connection.execute(saying, [f"%{canary}%"]).fetchone():
                found.append(f"{row['schemaname']}.{row['tablename']}")
    return found


async def test_an_event_is_read_within_fifty_milliseconds_when_little_is_going_on(prepared: Settings) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin()
    await produce_events(prepared, story.events)
    waited = []
    async with projector(prepared):
        await caught_up(prepared)
        with psycopg.connect(connection_string(prepared), autocommit=True) as connection:
            for number in range(20):
                told = len(story.events)
                answer.text(f"{number} ")
                await produce_events(prepared, story.events[told:])
                began = time.perf_counter()
                while True:
                    row = connection.execute(
                        "SELECT content FROM conversation_messages WHERE message_id = %s",
                        [answer.response_id],
                    ).fetchone()
                    if row is not None and row[0].endswith(f"{number} "):
                        break
                    await asyncio.sleep(0.001)
                waited.append(time.perf_counter() - began)
    # The quarter that nobody else on the machine has disturbed: no timer is waited for.
    assert statistics.quantiles(waited, n=4)[0] <= 0.05, waited


async def test_status_tells_the_lag_and_an_estimate(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)

    (behind,) = await operations.status(prepared, NAME, over_s=0)
    assert (behind.state, behind.in_code, behind.paused) == ("promoted", True, False)
    assert behind.lag_records == sum(one.end for one in behind.partitions) > 0
    assert behind.eta_s is None

    async with projector(prepared):
        await operations.wait_for_lag(prepared, NAME, timeout_s=60)
        (level,) = await operations.status(prepared, NAME, over_s=0)
    assert (level.lag_records, level.lag_s, level.eta_s) == (0, 0.0, 0.0)
    listed = await operations.list_versions(prepared)
    assert {(one.projection, one.state) for one in listed} == {(one.name, "promoted") for one in PROJECTIONS}
