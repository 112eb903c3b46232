"""Given turns, renames and a deletion, then the list of conversations: a model of a test of rows that change."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.conversations import Conversations
from polylogue.projections.testing import ProjectionSpec, Story
from polylogue.schemas.events import ParentRef

pytestmark = pytest.mark.stack


@pytest.fixture
def spec(settings: Settings) -> ProjectionSpec:
    return ProjectionSpec(settings, Conversations())


async def test_a_conversation_has_its_latest_title_and_says_whether_a_turn_runs(spec: ProjectionSpec) -> None:
    story = Story("c1", owner_id="ada")
    (first,) = story.ask("Draw a circle", "sim/text", start="Draw a circle")
    first.begin().text("Here.").complete()
    story.rename("Circles")
    story.pin()
    (second,) = story.ask("Now a square", "sim/text", system="Be brief.")
    second.begin().text("He")
    conversation = {"conversation_id": "c1", "owner_id": "ada", "title": "Circles", "pinned": True}
    await spec.given(*story.events).then(
        conversations=[
            conversation | {"turn_running": True, "deleted": False, "last_turn_id": second.turn_id}
        ],
        conversation_turns=[
            {"turn_id": first.turn_id, "prompt": "Draw a circle", "system": None, "finished": True},
            {"turn_id": second.turn_id, "prompt": "Now a square", "system": "Be brief.", "finished": False},
        ],
    )


async def test_a_second_round_is_of_the_same_turn(spec: ProjectionSpec) -> None:
    story = Story()
    (first,) = story.ask("Draw", "sim/failing", start="Draw")
    first.begin().fail()
    (again,) = story.ask("Draw", "sim/text", turn_id=first.turn_id, round=2, before=1)
    again.begin().text("Here.").complete()
    await spec.given(*story.events).then(
        conversation_turns=[{"turn_id": first.turn_id, "round": 2, "finished": True}]
    )


async def test_a_breakout_names_its_parent(spec: ProjectionSpec) -> None:
    story = Story()
    story.ask("Go on", start="Go on", parent=ParentRef(conversation_id="p", turn_id="t", model="sim/text"))
    await spec.given(*story.events).then(
        conversations=[{"parent_conversation_id": "p", "parent_turn_id": "t", "parent_model_id": "sim/text"}]
    )


async def test_nothing_of_its_content_is_left_of_a_deleted_conversation(spec: ProjectionSpec) -> None:
    story = Story()
    (answer,) = story.ask("A secret", "sim/text", start="A secret", system="Whisper.")
    answer.begin().text("Psst")
    story.share("s1")
    story.delete()
    answer.text("late").complete()
    story.rename("A secret after all")
    await spec.given(*story.events).then(
        conversations=[{"title": "", "share_id": None, "turn_running": False, "deleted": True}],
        conversation_turns=[],
    )
