"""Given these events, then these rows of the sums, the ratings, the search and the gallery, however the log is cut."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.gallery import Gallery
from polylogue.projections.media_usage_daily import MediaUsageDaily
from polylogue.projections.model_stats import ModelStats
from polylogue.projections.search import Search
from polylogue.projections.testing import ProjectionSpec, Story

DAY = "2026-03-01"

pytestmark = pytest.mark.stack


def _painted() -> Story:
    """One picture stored at once, one at a second try, one refused."""
    story = Story(owner_id="ada")
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    first, lost = painter.begin().produce(), painter.produce()
    painter.refuse()
    story.stored(first)
    story.failed(lost)
    painter.complete()
    story.retried(lost, 1)
    story.stored(lost, 1)
    return story


async def test_usage_is_summed_by_user_model_type_and_day(settings: Settings) -> None:
    rows = [
        {
            "owner_id": "ada",
            "model_id": "sim/painter",
            "media_type": "image",
            "day": DAY,
            "stored": 2,
            "failed": 2,
            "size_bytes": 1001 + 1002,
            "cost_usd_micros": 1234,
            "latency_ms_to_10": 1,
            "latency_ms_to_30": 1,
        }
    ]
    story = _painted()
    spec = ProjectionSpec(settings, MediaUsageDaily())
    await spec.given(*story.events).then(media_usage_daily=rows)

    story.delete()
    story.deleted(next(iter(story.claims)))
    await spec.given(*story.events).then(media_usage_daily=rows)


async def test_models_are_summed_and_the_last_rating_counts(settings: Settings) -> None:
    story = Story(owner_id="ada")
    first, second = story.ask("Which?", "sim/a", "sim/b", start="Which?")
    first.begin().complete()
    second.begin().complete()
    story.rate(first.turn_id, first, n1="up")
    story.rate(first.turn_id, second, n1="down")
    sums = {"owner_id": "ada", "day": DAY, "answers": 1, "paced_ms": 780, "first_token_ms_to_150": 1}
    judged = {"owner_id": "ada", "contested": 1, "thumbs_up": 0}

    await (
        ProjectionSpec(settings, ModelStats())
        .given(*story.events)
        .then(
            model_stats=[sums | {"model_id": "sim/a"}, sums | {"model_id": "sim/b"}],
            answer_ratings=[
                judged | {"model_id": "sim/a", "won": 0, "thumbs_down": 1},
                judged | {"model_id": "sim/b", "won": 1, "thumbs_down": 0},
            ],
        )
    )


async def test_words_are_those_of_what_has_ended(settings: Settings) -> None:
    story = Story()
    ended, running = story.ask("Why <b>not</b>?", "sim/a", "sim/b", start="Why")
    ended.begin().text("Because ", "of\0it.").complete()
    running.begin().text("Half an ans")
    spec = ProjectionSpec(settings, Search())

    await spec.given(*story.events).then(
        search_messages=[
            {"role": "user", "content": "Why <b>not</b>?", "words": "'/b':4 'b':2 'not':3 'why':1"},
            {"role": "assistant", "content": "Because of\ufffdit.", "words": "'because':1 'it':3 'of':2"},
            {"role": "assistant", "content": "Half an ans", "words": None},
        ]
    )

    story.delete()
    await spec.given(*story.events).then(search_messages=[])


async def test_the_gallery_holds_what_was_stored(settings: Settings) -> None:
    story = _painted()
    first, second = story.claims
    story.renditions(first)
    story.deleted(second)
    spec = ProjectionSpec(settings, Gallery())

    await spec.given(*story.events).then(
        gallery_items=[
            {"media_id": first, "status": "stored", "key": story.claims[first].key, "owner_id": "ada"},
            {"media_id": second, "status": "deleted", "key": None, "owner_id": "ada"},
        ]
    )

    story.delete()
    await spec.given(*story.events).then(gallery_items=[])
