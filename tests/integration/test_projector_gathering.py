"""Pieces of an answer and projections that make no row of them: few transactions, and nothing of it is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from psycopg.sql import SQL, Identifier

from polylogue.infra.kafka import client_options
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.gathering import Gathering, may_gather
from polylogue.projections.testing.answer import Answer
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from tests.support.events import Story, produce_events
from tests.support.tables import assert_equal_to_replay, caught_up, ends, id_on, projector, query, until

pytestmark = pytest.mark.stack

PARTITION = 0
GATHERING = {one.name for one in PROJECTIONS if may_gather(one)}
LONG_S = 3600.0


@contextmanager
def moves_written_down(settings: Settings) -> Iterator[None]:
    """Every transaction that moves a checkpoint leaves a row in `moves`."""
    with psycopg.connect(connection_string(settings), autocommit=True) as connection:
        connection.execute("CREATE TABLE moves (projection text, txid xid8 DEFAULT pg_current_xact_id())")
        connection.execute(
            "CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" INSERT INTO {settings.database_schema}.moves VALUES (NEW.projection); RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE TRIGGER written_down AFTER UPDATE ON projection_checkpoints"
            " FOR EACH ROW EXECUTE FUNCTION write_down()"
        )
        yield
        connection.execute(
            SQL("DROP FUNCTION {} CASCADE").format(Identifier(settings.database_schema, "write_down"))
        )


def moves(settings: Settings) -> dict[str, int]:
    rows = query(settings, "SELECT projection, count(DISTINCT txid) AS moves FROM moves GROUP BY projection")
    return {row["projection"]: row["moves"] for row in rows}


async def begun(settings: Settings) -> Answer:
    """An answer that is under way, and in the tables of all projections."""
    story = Story(id_on(PARTITION))
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin()
    await produce_events(settings, story.events)
    await caught_up(settings)
    return answer


async def say(settings: Settings, answer: Answer, *pieces: str) -> None:
    told = len(answer.story.events)
    answer.text(*pieces)
    await produce_events(settings, answer.story.events[told:])


async def complete(settings: Settings, answer: Answer) -> None:
    told = len(answer.story.events)
    answer.complete()
    await produce_events(settings, answer.story.events[told:])


async def shown(settings: Settings, content: str) -> None:
    """Until the answer says so."""
    sql = "SELECT content FROM conversation_messages WHERE role = 'assistant'"
    await until(lambda: [row["content"] for row in query(settings, sql)] == [content])


async def test_pieces_cost_no_transaction_of_their_own_where_no_row_is_made_of_them(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathering, "HOLD_S", LONG_S)
    async with projector(prepared):
        answer = await begun(prepared)
        with moves_written_down(prepared):
            said = ""
            for number in range(5):
                said += f"{number} "
                await say(prepared, answer, f"{number} ")
                await shown(prepared, said)
            at_pieces = moves(prepared)
            assert at_pieces["conversation_messages"] == 5
            assert at_pieces.keys().isdisjoint(GATHERING)

            await complete(prepared, answer)
            await caught_up(prepared)
            assert {moves(prepared)[name] for name in GATHERING} == {1}
    await assert_equal_to_replay(prepared)


async def test_pieces_that_nothing_follows_are_behind_every_checkpoint_in_a_moment(
    prepared: Settings,
) -> None:
    async with projector(prepared):
        answer = await begun(prepared)
        await say(prepared, answer, "one ", "two ")
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_pieces_that_were_held_back_are_read_again_by_the_next_projector(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathering, "HOLD_S", LONG_S)
    async with projector(prepared):
        answer = await begun(prepared)
        await say(prepared, answer, "one ", "two ")
        await shown(prepared, "one two ")
    monkeypatch.undo()
    async with projector(prepared):
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_the_end_of_a_transaction_does_not_lead_a_checkpoint_past_what_is_held_back(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathering, "HOLD_S", LONG_S)
    async with projector(prepared):
        answer = await begun(prepared)
        story = answer.story
        before = ends(prepared)
        told = len(story.events)
        answer.text("one ", "two ")
        end = await _in_a_transaction(prepared, story.events[told:])
        await until(lambda: ends(prepared)["conversation_messages", PARTITION] == end)
        after = ends(prepared)
        assert {after[name, PARTITION] for name in GATHERING} == {before["gallery", PARTITION]}

        await complete(prepared, answer)
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def _in_a_transaction(settings: Settings, events: list[Event]) -> int:
    """Returns the offset behind the marker that ends it."""
    producer = AIOKafkaProducer(
        **client_options(settings), transactional_id=f"{settings.kafka_topic_prefix}runner-{PARTITION}"
    )
    await producer.start()
    try:
        async with producer.transaction():
            for event in events:
                sent = await producer.send_and_wait(
                    topic_name(settings, CONVERSATION_EVENTS), event_codec.encode(event), partition=PARTITION
                )
    finally:
        await producer.stop()
    return int(sent.offset) + 2
