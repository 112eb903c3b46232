"""Given, when, then on real Postgres: what it accepts, what it catches, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.batches import execute
from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.projections.testing import ProjectionSpec, SpecFailedError, Story
from polylogue.projections.testing.spec import ways
from polylogue.schemas.base import Payload
from polylogue.schemas.codec import event_codec
from polylogue.schemas.events import ConversationRenamed, PromptSubmitted, ResponseStarted, TextAppended

pytestmark = pytest.mark.stack

PIECES = Table("pieces", key="model_id", columns={"model_id": "text", "pieces": "bigint NOT NULL DEFAULT 0"})
PROMPTS = Table(
    "prompts",
    key="turn_id",
    columns={"turn_id": "text", "conversation_id": "text", "seen": "bigint", "asked_at": "timestamptz"},
)
ATTEMPTS = Table(
    "attempts", key="event_id", columns={"event_id": "text", "conversation_id": "text", "note": "text"}
)


class Pieces:
    """Counts the pieces of each model's text."""

    name = "pieces"
    version = 1
    tables: tuple[Table, ...] = (PIECES,)
    handles: frozenset[type[Payload]] = frozenset({TextAppended})

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            if isinstance(seen.event.data, TextAppended):
                changes.add(PIECES, model_id=seen.model, pieces=1)
        return changes


class CountsBatches(Pieces):
    """Wrong: says something of the batch, so that another cut gives other rows."""

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        if batch:
            changes.add(PIECES, model_id="all", pieces=1)
        return changes


class CountsPrompts:
    """Wrong: counts in its memory, so that what is left of it is counted again."""

    name = "prompts"
    version = 1
    tables = (PROMPTS,)
    handles: frozenset[type[Payload]] = frozenset({PromptSubmitted})

    def __init__(self) -> None:
        self._seen = 0

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            if isinstance(seen.event.data, PromptSubmitted):
                self._seen += 1
                changes.insert(
                    PROMPTS,
                    turn_id=seen.event.turn_id,
                    conversation_id=seen.event.conversation_id,
                    seen=self._seen,
                    asked_at=seen.event.occurred_at,
                )
        return changes


class Refusing(Pieces):
    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        if batch:
            raise ValueError
        return RowChanges()


class LatestAttempt:
    """Removes what an earlier attempt of the conversation left, then inserts: both may be in one batch."""

    name = "attempts"
    version = 1
    tables = (ATTEMPTS,)
    handles: frozenset[type[Payload]] = frozenset({ResponseStarted, ConversationRenamed})

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            event = seen.event
            if isinstance(event.data, ResponseStarted):
                changes.remove(ATTEMPTS, event.conversation_id)
                changes.insert(
                    ATTEMPTS,
                    event_id=event.event_id,
                    conversation_id=event.conversation_id,
                    note=f"attempt {event.attempt}",
                )
            elif isinstance(event.data, ConversationRenamed):
                changes.blank(ATTEMPTS, event.conversation_id, note="renamed")
        return changes


@pytest.fixture
def story() -> Story:
    story = Story("c1")
    (answer,) = story.ask("Draw", "sim/text", start="A drawing")
    answer.begin().text("one ", "two").complete()
    (other,) = story.ask("Again", "sim/other")
    other.begin().text("three").complete()
    return story


async def test_rows_that_do_not_depend_on_cuts_and_repetitions_are_accepted(
    settings: Settings, story: Story
) -> None:
    given = ProjectionSpec(settings, Pieces()).given(*story.events)
    await given.then(pieces=[{"model_id": "sim/other", "pieces": 1}, {"model_id": "sim/text", "pieces": 2}])
    await given.then(pieces=[{"model_id": "sim/text"}, {"model_id": "sim/other"}])


async def test_what_is_removed_or_blanked_before_an_insert_leaves_the_insert_alone(
    settings: Settings,
) -> None:
    story = Story("c1")
    (answer,) = story.ask("Draw", "sim/text", start="A drawing")
    answer.begin().taken_over()
    story.rename("Another")
    answer.taken_over()
    await (
        ProjectionSpec(settings, LatestAttempt())
        .given(*story.events)
        .then(attempts=[{"conversation_id": "c1", "note": "attempt 3"}])
    )


async def test_no_events_give_no_rows(settings: Settings) -> None:
    await ProjectionSpec(settings, Pieces()).given().then(pieces=[])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"model_id": "sim/text", "pieces": 2}], "not expected: [{'model_id': 'sim/other'"),
        ([{"pieces": 2}, {"pieces": 7}], "missing: [{'pieces': 7}]"),
        ([{"pieces": 1}, {"pieces": 2}, {"pieces": 1}], "2 rows, expected 3"),
        ([], "2 rows, expected 0"),
    ],
)
async def test_other_rows_are_told(
    settings: Settings, story: Story, rows: list[dict[str, object]], told: str
) -> None:
    with pytest.raises(SpecFailedError) as failure:
        await ProjectionSpec(settings, Pieces()).given(*story.events).then(pieces=rows)
    assert "at once, pieces differs" in str(failure.value)
    assert told in str(failure.value)


async def test_rows_that_depend_on_the_batch_are_caught(settings: Settings, story: Story) -> None:
    with pytest.raises(SpecFailedError, match="one by one, pieces differs"):
        await (
            ProjectionSpec(settings, CountsBatches())
            .given(*story.events)
            .then(pieces=[{"model_id": "all", "pieces": 1}])
        )


async def test_memory_of_the_projection_itself_is_caught(settings: Settings, story: Story) -> None:
    with pytest.raises(SpecFailedError, match="one by one, prompts differs"):
        await (
            ProjectionSpec(settings, CountsPrompts())
            .given(*story.events)
            .then(prompts=[{"seen": 1}, {"seen": 2}])
        )


async def test_an_event_that_cannot_be_applied_is_named(settings: Settings, story: Story) -> None:
    with pytest.raises(
        SpecFailedError,
        match=r"at once: the event at \d+ cannot be applied: .*ValueError in \w+\.py, line \d+",
    ):
        await ProjectionSpec(settings, Refusing()).given(*story.events).then(pieces=[])


async def test_nothing_is_left_in_the_database(settings: Settings, story: Story) -> None:
    assert settings.database_url is not None
    with psycopg.connect(str(settings.database_url), autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'spec\\_%'"
        before = connection.execute(query).fetchone()
        await ProjectionSpec(settings, Pieces()).given(*story.events).rows()
        assert connection.execute(query).fetchone() == before


def test_every_cut_is_tried(story: Story) -> None:
    found = list(ways([event_codec.encode(event) for event in story.events]))
    cuts = [way for way in found if way.name.startswith("cut") and way.write is execute]
    assert len(cuts) == len(story.events) - 1
    assert len({tuple(len(batch) for batch in way.batches) for way in cuts}) == len(cuts)
    for way in found:
        offsets = [record.offset for batch in way.batches for record in batch]
        assert offsets == list(range(1, len(offsets) + 1))
