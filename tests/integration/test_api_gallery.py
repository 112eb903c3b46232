"""The gallery over HTTP: filters, pages that lose and double nothing, and nothing that is somebody else's or deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.operations import pause
from tests.support.api_server import api_server
from tests.support.events import Story, interleave, produce_events, sample_story
from tests.support.tables import caught_up, projector, query, until

pytestmark = [pytest.mark.stack]


async def _media(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/media", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["media"])


async def test_the_gallery_shows_what_was_stored_with_a_url_of_now(prepared: Settings) -> None:
    story, foreign = sample_story(), sample_story(owner_id="bob")
    await produce_events(prepared, interleave(story, foreign))
    async with projector(prepared):
        await caught_up(prepared)
    async with api_server(prepared) as client:
        found = await _media(client)
        sounds = await _media(client, type="audio")
        painted = await _media(client, model="sim/painter", status="stored")
        mine = await _media(client, conversation=story.conversation_id, limit=2)
        theirs = await _media(client, conversation=foreign.conversation_id)
        on_the_day = await _media(client, **{"from": "2026-03-01", "to": "2026-03-01"})
        before = await _media(client, to="2026-02-28")

    # Each is somebody's: of the two stories only one's media are shown.
    assert {one["media_id"] for one in found} <= story.claims.keys()
    assert [one["created_at"] for one in found] == sorted((one["created_at"] for one in found), reverse=True)
    assert {one["type"] for one in found} == {"image", "audio", "video"}
    for one in found:
        assert (one["url"] is None) == (one["status"] == "expired"), one
    (sound,) = sounds
    claim = story.claims[sound["media_id"]]
    assert claim.key.split("/")[-1] in sound["url"]
    assert (sound["model_id"], sound["duration_ms"], sound["turn_id"]) == (
        "sim/speaker",
        1500,
        claim.turn_id,
    )
    (picture,) = painted
    assert picture["renditions"][0]["name"] == "thumbnail"
    assert picture["renditions"][0]["url"].startswith("http")
    assert {one["type"]: one["prompt"] for one in found} == {
        "image": "Draw a red circle",
        "audio": "Say it",
        "video": "Say it",
    }
    assert [one["media_id"] for one in mine] == [one["media_id"] for one in found[:2]]
    assert theirs == []
    assert len(on_the_day) == len(found) == 5
    assert before == []


async def test_pages_hold_every_medium_once_while_others_come(prepared: Settings) -> None:
    story = Story()
    (painter,) = story.ask("Draw much", "sim/painter", start="Draw much")
    pictures = [painter.begin().produce(), *(painter.produce() for _ in range(6))]
    for picture in pictures[:-1]:
        story.stored(picture)
    told = len(story.events)
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
        async with api_server(prepared) as client:
            seen, cursor = [], None
            while True:
                asked = {"limit": 4} | ({"cursor": cursor} if cursor else {})
                page = (await client.get("/api/media", params=asked)).json()
                seen += [one["media_id"] for one in page["media"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
                # A new one moves nothing of what follows.
                story.stored(pictures[-1])
                await produce_events(prepared, story.events[told:])
                await caught_up(prepared)
            refused = await client.get("/api/media", params={"cursor": "nonsense"})

    assert seen == list(reversed(pictures[:-1]))
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")


async def test_a_long_prompt_is_told_in_one_short_line_and_none_before_its_turn_is_known(
    prepared: Settings,
) -> None:
    long = "  Draw\n\ta circle" + " and another" * 200
    story, later = Story(), Story()
    for told, prompt in ((story, long), (later, "Draw it later")):
        (painter,) = told.ask(prompt, "sim/painter", start="Draw")
        told.stored(painter.begin().produce())
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    await pause(prepared, "conversations")
    await produce_events(prepared, later.events)
    async with projector(prepared), api_server(prepared) as client:
        await until(lambda: len(query(prepared, "SELECT 1 FROM gallery_items")) == 2)
        found = {one["conversation_id"]: one["prompt"] for one in await _media(client)}

    expected = "Draw a circle" + " and another" * 200
    assert found == {story.conversation_id: f"{expected[:139]}…", later.conversation_id: None}


async def test_what_was_deleted_vanishes_from_the_gallery(prepared: Settings) -> None:
    one, other = sample_story(), sample_story()
    deleted = next(iter(one.claims))
    one.deleted(deleted)
    other.delete()
    await produce_events(prepared, interleave(one, other))
    async with projector(prepared):
        await caught_up(prepared)
    async with api_server(prepared) as client:
        shown = {item["media_id"] for item in await _media(client)}

    assert shown
    assert shown < one.claims.keys() - {deleted}


async def test_a_deleted_conversation_is_hidden_while_the_gallery_is_behind(prepared: Settings) -> None:
    story = sample_story()
    told = len(story.events)
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    await pause(prepared, "gallery")
    story.delete()
    await produce_events(prepared, story.events[told:])
    async with projector(prepared), api_server(prepared) as client:
        await until(lambda: query(prepared, "SELECT 1 FROM conversations WHERE deleted"))
        shown = await _media(client)

    assert query(prepared, "SELECT 1 FROM gallery_items")
    assert shown == []
