"""One batch, one transaction, on real Postgres: any cut gives the same rows, and who lost the partition writes none."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.batches import apply_batch, apply_together
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.checkpoints import PartitionLostError, take
from polylogue.projections.gallery import Gallery
from polylogue.projections.log_heads import LogHead
from polylogue.projections.migrate import upgrade
from polylogue.projections.protocol import Projection, VisibleEvent
from polylogue.projections.rows import RowChanges
from polylogue.schemas.codec import event_codec
from tests.support.events import Story, numbered, sample_story
from tests.support.tables import (
    ends,
    tables,
)

pytestmark = pytest.mark.stack


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


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
async def test_batches_of_several_partitions_are_written_together_or_not_at_all(
    prepared: Settings, projection: Projection
) -> None:
    records = [_records(sample_story(f"c{partition}")) for partition in range(2)]
    heads = [LogHead("conversation-events", partition, 0, 1000, "aaaa") for partition in range(2)]
    async with connected(prepared) as connection:
        checkpoints = [await take(connection, projection, head) for head in heads]
        nothing = tables(prepared), ends(prepared)
        garbled = [*records[1][:5], Recorded(6, b"not json")]
        stale = replace(checkpoints[1], next_offset=7)
        for amiss in ((checkpoints[1], garbled), (stale, records[1])):
            together = [(checkpoints[0], records[0], frozenset()), (*amiss, frozenset())]
            assert await apply_together(connection, projection, together) is None
            assert (tables(prepared), ends(prepared)) == nothing

        together = [(one, many, frozenset({3})) for one, many in zip(checkpoints, records, strict=True)]
        reached = await apply_together(connection, projection, together)
    assert reached is not None
    assert [one.next_offset for one in reached] == [many[-1].offset + 1 for many in records]
    together_rows = tables(prepared)

    apart = prepared.model_copy(update={"database_schema": f"s{secrets.token_hex(4)}"})
    upgrade(apart)
    async with connected(apart) as connection:
        for head, many in zip(heads, records, strict=True):
            checkpoint = await take(connection, projection, head)
            await apply_batch(connection, projection, checkpoint, many, skips=frozenset({3}))
    assert tables(apart) == together_rows


class OfTheFirst(Gallery):
    """Counts on an event, as whoever writes a projection may."""

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        assert batch[0] is not None
        return super().apply(batch)


async def test_a_batch_in_which_nothing_concerns_a_projection_is_not_put_to_it(settings: Settings) -> None:
    story = Story("c")
    (answer,) = story.ask("How many legs has a spider?", "sim/text", start="Spiders")
    answer.begin().text("Eight.")
    records = _records(story)
    # The first two open a turn, which concerns every projection.
    opening, rest = records[:2], records[2:]
    upgrade(settings)
    async with connected(settings) as connection:
        checkpoint = await take(connection, OfTheFirst(), LogHead("conversation-events", 0, 0, 1000, "aaaa"))
        applied = await apply_batch(connection, OfTheFirst(), checkpoint, opening)
        applied = await apply_batch(connection, OfTheFirst(), applied.checkpoint, rest)
    assert applied.refusal is None
    assert applied.checkpoint.next_offset == rest[-1].offset + 1
