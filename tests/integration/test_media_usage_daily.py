"""Given media of an answer, then what each user's models made a day: a model of a test of sums."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.media_usage_daily import MediaUsageDaily
from polylogue.projections.testing import ProjectionSpec, Story

pytestmark = pytest.mark.stack

DAY = "2026-03-01"


@pytest.fixture
def spec(settings: Settings) -> ProjectionSpec:
    return ProjectionSpec(settings, MediaUsageDaily())


async def test_media_are_counted_by_user_model_type_and_day(spec: ProjectionSpec) -> None:
    story = Story(owner_id="ada")
    painter, speaker = story.ask("Draw and sing", "sim/painter", "sim/speaker", start="Both")
    first, second = painter.begin().produce(), painter.produce()
    sound = speaker.begin().produce("audio")
    story.stored(first)
    story.stored(second)
    story.rejected(sound)
    painter.complete()
    row = {"owner_id": "ada", "day": DAY}
    await spec.given(*story.events).then(
        media_usage_daily=[
            row
            | {
                "model_id": "sim/painter",
                "media_type": "image",
                "stored": 2,
                "failed": 0,
                "size_bytes": 1001 + 1002,
                "cost_usd_micros": 1234,
            },
            row | {"model_id": "sim/speaker", "media_type": "audio", "stored": 0, "failed": 1},
        ]
    )


async def test_a_medium_that_is_stored_when_it_is_tried_again_is_one_of_each(spec: ProjectionSpec) -> None:
    story = Story()
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    lost = painter.begin().produce()
    story.failed(lost)
    story.retried(lost, 1)
    story.stored(lost, 1)
    await spec.given(*story.events).then(media_usage_daily=[{"stored": 1, "failed": 1}])


async def test_two_conversations_of_a_user_are_added_up_whichever_comes_first(spec: ProjectionSpec) -> None:
    stories = [Story(owner_id="ada"), Story(owner_id="ada")]
    for story in stories:
        (painter,) = story.ask("Draw", "sim/painter", start="Draw")
        story.stored(painter.begin().produce())
        painter.complete()
    one, other = (story.events for story in stories)
    rows = [{"owner_id": "ada", "stored": 2, "size_bytes": 2 * 1001, "cost_usd_micros": 2 * 1234}]
    await spec.given(*one, *other).then(media_usage_daily=rows)
    await spec.given(*other, *one).then(media_usage_daily=rows)


async def test_what_a_deleted_conversation_had_made_stays_counted(spec: ProjectionSpec) -> None:
    story = Story()
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    medium = painter.begin().produce()
    story.stored(medium)
    story.delete()
    story.deleted(medium)
    await spec.given(*story.events).then(media_usage_daily=[{"stored": 1, "failed": 0}])
