"""Given these events, then these rows of each projection that is shipped, however the log is cut."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.conversations import Conversations
from polylogue.projections.gallery import Gallery
from polylogue.projections.media_usage_daily import MediaUsageDaily
from polylogue.projections.model_stats import ModelStats
from polylogue.projections.search import Search
from polylogue.projections.testing import ProjectionSpec, Story
from polylogue.projections.turn_notes import TurnNotes
from polylogue.schemas.events import AnswerRated, ParentRef

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
        },
        {"owner_id": "ada", "model_id": "sim/speaker", "media_type": "audio", "stored": 0, "failed": 1},
    ]
    story = _painted()
    (speaker,) = story.ask("Sing", "sim/speaker")
    story.rejected(speaker.begin().produce("audio"))
    spec = ProjectionSpec(settings, MediaUsageDaily())
    await spec.given(*story.events).then(media_usage_daily=rows)

    story.delete()
    story.deleted(next(iter(story.claims)))
    await spec.given(*story.events).then(media_usage_daily=rows)


async def test_usage_of_two_conversations_of_a_user_is_added_up_whichever_comes_first(
    settings: Settings,
) -> None:
    stories = [Story(owner_id="ada"), Story(owner_id="ada")]
    for story in stories:
        (painter,) = story.ask("Draw", "sim/painter", start="Draw")
        story.stored(painter.begin().produce())
        painter.complete()
    spec = ProjectionSpec(settings, MediaUsageDaily())
    one, other = (story.events for story in stories)
    rows = [{"owner_id": "ada", "stored": 2, "size_bytes": 2 * 1001, "cost_usd_micros": 2 * 1234}]
    await spec.given(*one, *other).then(media_usage_daily=rows)
    await spec.given(*other, *one).then(media_usage_daily=rows)


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


async def test_the_last_note_of_a_turn_counts_and_goes_with_its_conversation(settings: Settings) -> None:
    story = Story(owner_id="ada")
    (answer,) = story.ask("Which?", "sim/a", start="Which?")
    answer.begin().complete()
    rated = [
        AnswerRated(note="Too long."),
        AnswerRated(thumbs={answer.response_id: "up"}, note="Long, but right."),
    ]
    for data in rated:
        story.from_command(data, turn_id=answer.turn_id)
    spec = ProjectionSpec(settings, TurnNotes())
    note = {"turn_id": answer.turn_id, "owner_id": "ada", "note": "Long, but right."}
    await spec.given(*story.events).then(turn_notes=[note])
    story.from_command(AnswerRated(), turn_id=answer.turn_id)
    await spec.given(*story.events).then(turn_notes=[note | {"note": None}])
    story.delete()
    await spec.given(*story.events).then(turn_notes=[])


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


async def test_a_conversation_has_its_latest_title_and_says_whether_a_turn_runs(settings: Settings) -> None:
    story = Story("c1", owner_id="ada")
    (first,) = story.ask("Draw a circle", "sim/text", start="Draw a circle")
    first.begin().text("Here.").complete()
    story.rename("Circles")
    story.pin()
    (second,) = story.ask("Now a square", "sim/text", system="Be brief.")
    second.begin().text("He")
    conversation = {"conversation_id": "c1", "owner_id": "ada", "title": "Circles", "pinned": True}
    await (
        ProjectionSpec(settings, Conversations())
        .given(*story.events)
        .then(
            conversations=[
                conversation | {"turn_running": True, "deleted": False, "last_turn_id": second.turn_id}
            ],
            conversation_turns=[
                {"turn_id": first.turn_id, "prompt": "Draw a circle", "system": None, "finished": True},
                {
                    "turn_id": second.turn_id,
                    "prompt": "Now a square",
                    "system": "Be brief.",
                    "finished": False,
                },
            ],
        )
    )


async def test_a_second_round_is_of_the_same_turn(settings: Settings) -> None:
    story = Story()
    (first,) = story.ask("Draw", "sim/failing", start="Draw")
    first.begin().fail()
    (again,) = story.ask("Draw", "sim/text", turn_id=first.turn_id, round=2, before=1)
    again.begin().text("Here.").complete()
    await (
        ProjectionSpec(settings, Conversations())
        .given(*story.events)
        .then(conversation_turns=[{"turn_id": first.turn_id, "round": 2, "finished": True}])
    )


async def test_a_breakout_names_its_parent(settings: Settings) -> None:
    story = Story()
    story.ask("Go on", start="Go on", parent=ParentRef(conversation_id="p", turn_id="t", model="sim/text"))
    await (
        ProjectionSpec(settings, Conversations())
        .given(*story.events)
        .then(
            conversations=[
                {"parent_conversation_id": "p", "parent_turn_id": "t", "parent_model_id": "sim/text"}
            ]
        )
    )


async def test_nothing_of_its_content_is_left_of_a_deleted_conversation(settings: Settings) -> None:
    story = Story()
    (answer,) = story.ask("A secret", "sim/text", start="A secret", system="Whisper.")
    answer.begin().text("Psst")
    story.share("s1")
    story.delete()
    answer.text("late").complete()
    story.rename("A secret after all")
    await (
        ProjectionSpec(settings, Conversations())
        .given(*story.events)
        .then(
            conversations=[{"title": "", "share_id": None, "turn_running": False, "deleted": True}],
            conversation_turns=[],
        )
    )
