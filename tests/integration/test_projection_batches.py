"""One batch, one transaction, on real Postgres: any cut gives the same rows, and who lost the partition writes none."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.batches import apply_batch, apply_together, execute
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.checkpoints import PartitionLostError, take
from polylogue.projections.gallery import Gallery
from polylogue.projections.log_heads import LogHead
from polylogue.projections.migrate import upgrade
from polylogue.projections.protocol import Projection, VisibleEvent
from polylogue.projections.rows import RowChanges
from polylogue.projections.states import StateMemory
from polylogue.schemas.codec import event_codec
from polylogue.schemas.conversation_state import ConversationState
from tests.support.events import Story, numbered, sample_story
from tests.support.tables import (
    ends,
    tables,
)

pytestmark = pytest.mark.stack

HEAD = LogHead("conversation-events", 0, 0, 1000, "aaaa")


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


@pytest.fixture
def migrated(settings: Settings) -> Settings:
    """With the tables of every projection."""
    upgrade(settings)
    return settings


def beside(settings: Settings) -> Settings:
    """The same tables once more, and empty."""
    other = settings.model_copy(update={"database_schema": f"s{secrets.token_hex(4)}"})
    upgrade(other)
    return other


async def apply_in_steps(
    connection: psycopg.AsyncConnection[Any],
    projection: Projection,
    records: Sequence[Recorded],
    step: int,
    *,
    memory: StateMemory | None = None,
    failing_first: bool = False,
) -> None:
    """Batch after batch of `step` records; `failing_first`: each is written, taken back and tried again."""
    checkpoint = await take(connection, projection, HEAD)
    for start in range(0, len(records), step):
        batch = records[start : start + step]
        if failing_first:
            with pytest.raises(psycopg.errors.DeadlockDetected):
                await apply_batch(
                    connection, projection, checkpoint, batch, memory=memory, write=_refuse_once_written
                )
        applied = await apply_batch(connection, projection, checkpoint, batch, memory=memory)
        assert applied.refusal is None, projection.name
        checkpoint = applied.checkpoint


async def tables_at_once(settings: Settings, records: Sequence[Recorded]) -> Any:
    """What all projections make of the records in one batch."""
    apart = beside(settings)
    async with connected(apart) as connection:
        for projection in PROJECTIONS:
            await apply_in_steps(connection, projection, records, len(records))
    return tables(apart)


async def test_the_copy_that_lost_its_partition_writes_nothing(migrated: Settings) -> None:
    records = _records(sample_story("c"))
    for projection in PROJECTIONS:
        async with connected(migrated) as first, connected(migrated) as second:
            stale = await take(first, projection, HEAD)
            await apply_batch(second, projection, await take(second, projection, HEAD), records[:20])
            before = tables(migrated), ends(migrated)

            with pytest.raises(PartitionLostError):
                await apply_batch(first, projection, stale, records)

        assert (tables(migrated), ends(migrated)) == before, projection.name


async def test_the_copy_whose_offset_another_has_come_to_after_a_reset_writes_nothing(
    migrated: Settings,
) -> None:
    records, projection, memory = _records(sample_story("c")), PROJECTIONS[1], StateMemory()
    async with connected(migrated) as first, connected(migrated) as second:
        checkpoint = await take(first, projection, HEAD)
        begun = await apply_batch(first, projection, checkpoint, records[:20], memory=memory)
        for table in ("projection_checkpoints", "projection_states"):
            await second.execute(f"DELETE FROM {table}")
        checkpoint = await take(second, projection, HEAD)
        # It leaves out what the first one has not: the states differ.
        other = await apply_batch(second, projection, checkpoint, records[:20], skips=frozenset({3}))
        assert other.checkpoint.next_offset == begun.checkpoint.next_offset
        before = tables(migrated), ends(migrated)

        with pytest.raises(PartitionLostError):
            await apply_batch(first, projection, begun.checkpoint, records[20:], memory=memory)

        assert (tables(migrated), ends(migrated)) == before


class Counting(StateMemory):
    """Knows how many states had to be read from the table."""

    read = 0

    def lend(self, partitions: Mapping[str, int]) -> dict[str, ConversationState]:
        lent = super().lend(partitions)
        self.read += len(partitions) - len(lent)
        return lent


async def test_states_that_are_remembered_are_not_read_again_and_give_the_same_rows(
    migrated: Settings,
) -> None:
    records = _records(sample_story("c"))
    async with connected(migrated) as connection:
        for projection in PROJECTIONS:
            memory = Counting()
            await apply_in_steps(connection, projection, records, 5, memory=memory)
            assert memory.read == 1, projection.name  # of the conversation, when it was new
    assert tables(migrated) == await tables_at_once(migrated, records)


class Told(psycopg.AsyncConnection[Any]):
    """Knows how many statements it was told to carry out."""

    statements = 0

    async def execute(self, *arguments: Any, **options: Any) -> psycopg.AsyncCursor[Any]:
        self.statements += 1
        return await super().execute(*arguments, **options)


def _answer_in_two_parts() -> tuple[list[Recorded], list[Recorded]]:
    """How it begins, and its first words, of which a gallery makes no row."""
    story = Story("c")
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin()
    told = len(story.events)
    answer.text("one", "two")
    records = _records(story)
    return records[:told], records[told:]


async def test_a_batch_without_rows_and_of_remembered_states_is_one_statement(migrated: Settings) -> None:
    beginning, words = _answer_in_two_parts()
    projection, memory = Gallery(), StateMemory()
    async with await Told.connect(connection_string(migrated), autocommit=True) as connection:
        checkpoint = await take(connection, projection, HEAD)
        begun = await apply_batch(connection, projection, checkpoint, beginning, memory=memory)
        connection.statements = 0
        applied = await apply_batch(connection, projection, begun.checkpoint, words, memory=memory)
        assert connection.statements == 1
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    assert ends(migrated)["gallery", 0] == applied.checkpoint.next_offset == words[-1].offset + 1
    stored = tables(migrated)["projection_states"]

    apart = beside(migrated)
    async with connected(apart) as other:
        await apply_in_steps(other, projection, [*beginning, *words], 100)
    assert stored == tables(apart)["projection_states"]


async def test_the_copy_that_lost_its_partition_stores_no_state_of_a_batch_without_rows(
    migrated: Settings,
) -> None:
    beginning, words = _answer_in_two_parts()
    projection, memory = Gallery(), StateMemory()
    async with connected(migrated) as first, connected(migrated) as second:
        checkpoint = await take(first, projection, HEAD)
        begun = await apply_batch(first, projection, checkpoint, beginning, memory=memory)
        taken = await take(second, projection, HEAD)
        await apply_batch(second, projection, taken, words[:1])
        before = tables(migrated), ends(migrated)

        with pytest.raises(PartitionLostError):
            await apply_batch(first, projection, begun.checkpoint, words, memory=memory)

        assert (tables(migrated), ends(migrated)) == before
        assert not memory.lend({"c": 0})


async def _refuse_once_written(
    connection: psycopg.AsyncConnection[Any], changes: RowChanges, known: AbstractSet[str]
) -> None:
    await execute(connection, changes, known)
    raise psycopg.errors.DeadlockDetected


async def test_a_transaction_that_fails_leaves_nothing_behind_that_its_repetition_would_see(
    migrated: Settings,
) -> None:
    records = _records(sample_story("c"))
    async with connected(migrated) as connection:
        for projection in PROJECTIONS:
            await apply_in_steps(connection, projection, records, 5, memory=StateMemory(), failing_first=True)
    assert tables(migrated) == await tables_at_once(migrated, records)


@pytest.mark.parametrize("step", [1, 7, 40])
async def test_batches_of_any_size_give_the_same_rows(migrated: Settings, step: int) -> None:
    story = sample_story("c")
    if step == 7:
        story.delete()
    records = _records(story)
    async with connected(migrated) as connection:
        for projection in PROJECTIONS:
            await apply_in_steps(connection, projection, records, step)
    assert tables(migrated) == await tables_at_once(migrated, records)


async def test_batches_of_several_partitions_are_written_together_or_not_at_all(migrated: Settings) -> None:
    apart = beside(migrated)
    for projection in PROJECTIONS:
        await _together_or_not_at_all(migrated, apart, projection)
    assert tables(apart) == tables(migrated)


async def _together_or_not_at_all(settings: Settings, apart: Settings, projection: Projection) -> None:
    records = [_records(sample_story(f"c{partition}")) for partition in range(2)]
    heads = [replace(HEAD, partition=partition) for partition in range(2)]
    async with connected(settings) as connection:
        checkpoints = [await take(connection, projection, head) for head in heads]
        nothing = tables(settings), ends(settings)
        garbled = [*records[1][:5], Recorded(6, b"not json")]
        stale = replace(checkpoints[1], next_offset=7)
        for amiss in ((checkpoints[1], garbled), (stale, records[1])):
            together = [(checkpoints[0], records[0], frozenset()), (*amiss, frozenset())]
            assert await apply_together(connection, projection, together) is None, projection.name
            assert (tables(settings), ends(settings)) == nothing, projection.name

        together = [(one, many, frozenset({3})) for one, many in zip(checkpoints, records, strict=True)]
        reached = await apply_together(connection, projection, together)
    assert reached is not None, projection.name
    assert [one.next_offset for one in reached] == [many[-1].offset + 1 for many in records]

    async with connected(apart) as connection:
        for head, many in zip(heads, records, strict=True):
            checkpoint = await take(connection, projection, head)
            await apply_batch(connection, projection, checkpoint, many, skips=frozenset({3}))


class OfTheFirst(Gallery):
    """Counts on an event, as whoever writes a projection may."""

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        assert batch[0] is not None
        return super().apply(batch)


async def test_a_batch_in_which_nothing_concerns_a_projection_is_not_put_to_it(migrated: Settings) -> None:
    story = Story("c")
    (answer,) = story.ask("How many legs has a spider?", "sim/text", start="Spiders")
    answer.begin().text("Eight.")
    records = _records(story)
    # The first two open a turn, which concerns every projection.
    opening, rest = records[:2], records[2:]
    async with connected(migrated) as connection:
        checkpoint = await take(connection, OfTheFirst(), HEAD)
        applied = await apply_batch(connection, OfTheFirst(), checkpoint, opening)
        applied = await apply_batch(connection, OfTheFirst(), applied.checkpoint, rest)
    assert applied.refusal is None
    assert applied.checkpoint.next_offset == rest[-1].offset + 1
