"""What a stored conversation says of media whose outcome its tables have not heard of yet, and of those tried again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.conversation_messages import ConversationMessages
from polylogue.projections.conversations import Conversations
from polylogue.projections.media_objects import MediaObjects
from tests.support.api_server import api_server
from tests.support.events import Story, produce_events
from tests.support.tables import caught_up, ends, id_on, projector, until

pytestmark = pytest.mark.stack

PARTITION = 0


async def written(settings: Settings, story: Story, already: int) -> int:
    """Appends what the story has more than that; returns where the log of its partition now ends."""
    places = await produce_events(settings, story.events[already:])
    return places[-1][1] + 1


async def read_up_to(settings: Settings, end: int, *names: str) -> None:
    """Lets only these tables read on, so that the others stay behind them."""
    async with projector(settings, [one for one in PROJECTIONS if one.name in names]):
        await until(lambda: all(ends(settings).get((name, PARTITION), 0) >= end for name in names))


async def first_turn(api: httpx.AsyncClient, story: Story) -> tuple[dict[str, Any], dict[str, Any]]:
    """The turn without its messages, and the answer in it."""
    answer = await api.get(f"/api/conversations/{story.conversation_id}")
    assert answer.status_code == 200, answer.text
    turn = answer.json()["turns"][0]
    return turn, turn.pop("messages")[1]


def waiting(media_id: str) -> list[dict[str, str]]:
    return [{"media_id": media_id, "type": "image", "status": "uploading"}]


async def test_media_that_the_tables_have_no_outcome_of_are_told_of_until_they_have(
    prepared: Settings,
) -> None:
    story = Story(id_on(PARTITION))
    (painter,) = story.ask("Draw", "sim/painter", start="Drawn")
    stored = painter.begin().text("Two: ").produce()
    rejected = painter.produce()
    painter.complete()
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    written_so_far = len(story.events)
    story.stored(stored)
    story.rejected(rejected)
    end = await written(prepared, story, written_so_far)
    async with api_server(prepared) as api:
        # The turn is whole where turns are kept, and its media have not come to where answers are.
        await read_up_to(prepared, end, Conversations.name)
        turn, message = await first_turn(api, story)
        assert (turn["finished"], message["status"]) == (True, "completed")
        assert (message["media_urls"], message["missing_media"]) == (None, [])
        assert message["pending_media"] == waiting(stored) + waiting(rejected)

        # Why there is none is known by a third table: until that has it, nothing is said of it at all.
        await read_up_to(prepared, end, ConversationMessages.name)
        _, message = await first_turn(api, story)
        assert [one["media_id"] for one in message["media_urls"]] == [stored]
        assert (message["missing_media"], message["pending_media"]) == ([], waiting(rejected))

        await read_up_to(prepared, end, MediaObjects.name)
        _, message = await first_turn(api, story)
        assert [one["media_id"] for one in message["missing_media"]] == [rejected]
        assert message["pending_media"] == []


async def test_a_medium_that_is_tried_again_is_on_its_way_and_its_turn_stays_finished(
    prepared: Settings,
) -> None:
    story = Story(id_on(PARTITION))
    (painter,) = story.ask("Draw", "sim/painter", start="Drawn")
    lost = painter.begin().produce()
    painter.complete()
    story.failed(lost)
    story.retried(lost, 1)
    await produce_events(prepared, story.events)
    async with projector(prepared), api_server(prepared) as api:
        await caught_up(prepared)
        turn, message = await first_turn(api, story)
        assert turn["finished"] is True
        assert (message["media_urls"], message["missing_media"]) == (None, [])
        assert message["pending_media"] == waiting(lost)

        written_so_far = len(story.events)
        story.stored(lost, 1)
        await written(prepared, story, written_so_far)
        await caught_up(prepared)
        _, message = await first_turn(api, story)
        assert [one["media_id"] for one in message["media_urls"]] == [lost]
        assert message["pending_media"] == []
