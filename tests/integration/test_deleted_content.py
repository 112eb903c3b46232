"""Of a deleted conversation no table holds a word any more, however the log is cut, live or as a rebuild writes."""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.batches import Write, execute
from polylogue.projections.bulk import copy_new
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection
from polylogue.projections.testing import ProjectionSpec, Story
from polylogue.projections.testing.spec import Given, Way, ways
from polylogue.schemas.codec import event_codec
from polylogue.schemas.events import AnswerRated

pytestmark = pytest.mark.stack

CANARY = "canarybird"


def private_story() -> Story:
    """A word that must not be found afterwards, in every place that a person or a model can write to."""
    story = Story("c1", owner_id="ada")
    words, painter, broken = story.ask(
        f"Tell of the {CANARY}",
        "sim/text",
        "sim/painter",
        "sim/failing",
        start=f"The {CANARY}",
        system=CANARY,
    )
    words.begin().reason(f"A {CANARY} ").text(f"The {CANARY} ", "sings.")
    words.note("noted", CANARY)
    words.complete()
    medium = painter.begin().text(CANARY).produce()
    story.stored(medium)
    story.renditions(medium)
    painter.complete()
    broken.begin().text(CANARY).fail()
    story.rename(f"More of the {CANARY}")
    story.share(f"s{CANARY}")
    rating = AnswerRated(best_response_id=words.response_id, note=CANARY)
    story.from_command(rating, turn_id=words.turn_id)
    story.ask(f"More of the {CANARY}", "sim/text")
    return story


def everything(given: Given, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Notes what lies in the tables and in the reducer's state just before they are dropped."""
    found: list[str] = []
    drop = Given._drop

    def look_and_drop(self: Given) -> None:
        with psycopg.connect(connection_string(self._settings)) as connection:
            rows = connection.execute("SELECT state::text FROM projection_states").fetchall()
            found.extend(row[0] for row in rows)
        drop(self)

    monkeypatch.setattr(Given, "_drop", look_and_drop)
    return lambda: "\n".join(found)


def way_of(story: Story, write: Write, *, one_by_one: bool) -> Way:
    values = [event_codec.encode(event) for event in story.events]
    way = list(ways(values))[int(one_by_one)]
    return Way(way.name, way.batches, write)


@pytest.mark.parametrize("write", [execute, copy_new], ids=["live", "rebuild"])
@pytest.mark.parametrize("one_by_one", [False, True], ids=["at once", "one by one"])
@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: f"{one.name} v{one.version}")
async def test_no_table_holds_a_word_of_a_deleted_conversation(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    projection: Projection,
    write: Write,
    *,
    one_by_one: bool,
) -> None:
    story = private_story()
    story.delete()
    story.rename(CANARY)  # comes too late
    for media_id in story.claims:
        story.deleted(media_id)
    way = way_of(story, write, one_by_one=one_by_one)
    monkeypatch.setattr("polylogue.projections.testing.spec.ways", lambda _: iter([way]))
    given = ProjectionSpec(settings, projection).given(*story.events)
    states = everything(given, monkeypatch)
    assert CANARY not in json.dumps(await given.rows())
    assert states()
    assert CANARY not in states()


async def test_the_word_is_there_before_the_deletion(settings: Settings) -> None:
    """So the test above looks where such words lie."""
    holding = set()
    for projection in PROJECTIONS:
        rows = await ProjectionSpec(settings, projection).given(*private_story().events).rows()
        if CANARY in json.dumps(rows):
            holding.add(projection.name)
    assert holding >= {"conversations", "conversation_messages", "search"}
