"""Renaming, rating and deleting on the whole system: seen at once by everybody, and gone from the storage for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from polylogue.api import changes
from polylogue.infra.settings import Settings
from tests.support.api_server import POST, api_server, code
from tests.support.bucket import keys_in_bucket
from tests.support.media_samples import attached, plain
from tests.support.processes import Simulator, process
from tests.support.sse_client import FrameStream, frames
from tests.support.whole_system import PAINTER, TEXT, WAIT_S, System, running

SLOW = "sim/slow:tokens=2000:pace=50ms"

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load is no reason to answer 202 here."""
    monkeypatch.setattr(changes, "SEEN_WITHIN_S", WAIT_S)


async def deleted(client: httpx.AsyncClient, url: str, **params: Any) -> httpx.Response:
    """Asks until it is seen."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await client.delete(url, params=params)).status_code == 202:
            assert answer.json()["status"] == "deleting"
    return answer


class Watching:
    """A stream that is read on from where it was left."""

    def __init__(self, stream: FrameStream) -> None:
        self._frames = stream.frames()

    async def until(self, kind: str) -> dict[str, Any]:
        """The next frame of that type."""
        async with asyncio.timeout(WAIT_S):
            async for frame in self._frames:
                if frame["type"] == kind:
                    return frame
        raise AssertionError(f"the stream ended without {kind}")

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(WAIT_S):
            return [frame async for frame in self._frames]


@asynccontextmanager
async def watching(client: httpx.AsyncClient, conversation_id: str) -> AsyncIterator[Watching]:
    url = f"/api/conversations/{conversation_id}/events"
    async with frames(client, "GET", url, standard=True) as stream:
        yield Watching(stream)


async def test_a_medium_that_is_deleted_is_gone_from_the_storage_and_for_every_reader(system: System) -> None:
    seen = await system.asked(models=[PAINTER])
    conversation_id = seen[0]["conversation_id"]
    media_id = next(frame["media_id"] for frame in seen if frame["type"] == "media")
    turns = (await system.read(conversation_id))["turns"]
    (shown,) = turns[0]["messages"][1]["media_urls"]
    assert (shown["media_id"], shown["status"]) == (media_id, "stored")
    assert shown["key"] in keys_in_bucket(system.settings)
    breakout = (
        await system.one.post(f"/api/conversations/{conversation_id}/breakout", json={"model": PAINTER})
    ).json()["conversation_id"]
    await system.read(breakout)

    url = f"/api/media/{media_id}"
    refused = await system.other.delete(url)
    assert code(refused) == (409, "has_branches")
    assert [one["conversation_id"] for one in refused.json()["conversations"]] == [breakout]

    async with watching(system.other, conversation_id) as watched:
        await watched.until("complete")
        answer = await deleted(system.one, url, force=True)
        assert (answer.status_code, answer.json()) == (200, {"media_id": media_id, "status": "deleted"})
        assert (await watched.until("media_deleted"))["media_id"] == media_id
    # Whoever asks after the answer, of whichever process, is shown it.
    told = (await system.other.get(url)).json()
    assert (told["status"], told["url"], told["message"]) == ("deleted", None, "It was deleted.")
    gone = await system.other.get(f"{url}/content")
    assert code(gone) == (410, "media_deleted")
    assert gone.json()["at"] == told["updated_at"]
    for name in (conversation_id, breakout):
        messages = (await system.other.get(f"/api/conversations/{name}")).json()["turns"][0]["messages"]
        (kept,) = messages[1]["media_urls"]
        assert (kept["status"], kept["url"]) == ("deleted", None)
    await system.gone(media_id)
    again = await system.other.delete(url)
    assert (again.status_code, again.json()["status"]) == (200, "deleted")


async def test_what_was_begun_a_moment_ago_keeps_its_parent_from_being_deleted_unasked(
    system: System,
) -> None:
    parent = (await system.asked(models=[TEXT]))[0]["conversation_id"]
    await system.read(parent)
    url = f"/api/conversations/{parent}"
    begun: set[str] = set()
    for _ in range(5):
        child = (await system.one.post(f"{url}/breakout", json={"model": TEXT})).json()["conversation_id"]
        begun.add(child)
        refused = await system.other.delete(url)
        assert code(refused) == (409, "has_branches")
        assert {one["conversation_id"] for one in refused.json()["conversations"]} == begun


async def test_a_conversation_that_is_deleted_stops_what_runs_and_takes_all_its_files_along(
    system: System,
) -> None:
    kept = await system.asked(models=[PAINTER])
    seen = await system.asked(models=[PAINTER, TEXT], attached_images=[attached(plain())])
    conversation_id, turn_id = seen[0]["conversation_id"], seen[0]["turn_id"]
    media_id = next(frame["media_id"] for frame in seen if frame["type"] == "media")
    await system.read(conversation_id)
    assert any(key.startswith("private/") and turn_id in key for key in keys_in_bucket(system.settings))
    url = f"/api/conversations/{conversation_id}"
    child = (await system.one.post(f"{url}/breakout", json={"model": TEXT})).json()["conversation_id"]
    await system.asked(conversation_id=child, models=[TEXT], input_data="And then?")
    await system.read(child)

    # It goes on with the pictures of the prompt that it edits, and shows nothing else of its parent.
    edited = await system.asked(f"{url}/turns/{turn_id}/branch", models=[TEXT], input_data="Draw better")
    branch = edited[0]["conversation_id"]
    await system.read(branch)

    running_turn = {"input_data": "Slowly", "models": [SLOW], "conversation_id": conversation_id}
    async with (
        watching(system.other, conversation_id) as watched,
        frames(system.one, "POST", POST, json=running_turn) as stream,
    ):
        asking = Watching(stream)
        await asking.until("chunk")
        refused = await system.one.delete(url)
        assert code(refused) == (409, "has_branches")
        assert [one["conversation_id"] for one in refused.json()["conversations"]] == [child]
        answer = await deleted(system.one, url, force=True)
        expected = {"conversation_id": conversation_id, "status": "deleted"}
        assert (answer.status_code, answer.json()) == (200, expected)
        rest = await asking.rest()
        done = next(frame for frame in rest if frame["type"] == "done")
        assert (done["finish_reason"], done["message"]) == ("cancelled", "The conversation was deleted.")
        while (await watched.until("conversation"))["change"] != "deleted":
            pass

    for client in (system.one, system.other):
        listed = (await client.get("/api/conversations")).json()["conversations"]
        names = {one["conversation_id"] for one in listed}
        assert names >= {child, branch, kept[0]["conversation_id"]}
        assert conversation_id not in names
        assert code(await client.get(url)) == (404, "not_found")
        assert code(await client.get(f"{url}/events")) == (404, "not_found")
        later = await client.post(POST, json=running_turn)
        assert code(later) == (404, "not_found")
        assert code(await client.patch(url, json={"pinned": True})) == (404, "not_found")
        told = (await client.get(f"/api/media/{media_id}")).json()
        assert (told["status"], told["url"]) == ("deleted", None)
        assert told["message"] == "The conversation that it belonged to was deleted."
    await system.gone(conversation_id)
    (kept_back,) = (key for key in keys_in_bucket(system.settings) if key.startswith("private/"))
    assert turn_id in kept_back
    await deleted(system.one, f"/api/conversations/{branch}")
    await system.gone("private/")
    assert any(kept[0]["conversation_id"] in key for key in keys_in_bucket(system.settings))
    again = await system.other.delete(url)
    assert (again.status_code, again.json()["status"]) == (200, "deleted")

    turns = (await system.other.get(f"/api/conversations/{child}")).json()["turns"]
    assert turns[0]["turn_id"] == turn_id
    assert [turn["gone"] for turn in turns] == [True, False]
    assert turns[0]["notice"]
    assert turns[0]["messages"] == []
    # It goes on all the same, and its model is told what is left.
    await system.asked(conversation_id=child, models=[TEXT], input_data="Still there?")


async def test_changes_are_seen_by_whoever_asks_next_and_by_those_who_watch(system: System) -> None:
    seen = await system.asked(models=[TEXT, TEXT])
    conversation_id, turn_id = seen[0]["conversation_id"], seen[0]["turn_id"]
    url = f"/api/conversations/{conversation_id}"
    await system.read(conversation_id)
    async with watching(system.other, conversation_id) as watched:
        await watched.until("complete")
        for number in range(5):
            change = {"title": f"Title {number}", "pinned": number % 2 == 0}
            answer = await system.one.patch(url, json=change)
            assert (answer.status_code, answer.json()) == (
                200,
                {"conversation_id": conversation_id} | change,
            )
            listed = (await system.other.get("/api/conversations")).json()["conversations"]
            (own,) = (one for one in listed if one["conversation_id"] == conversation_id)
            assert {name: own[name] for name in change} == change
            renamed = await watched.until("conversation")
            pinned = await watched.until("conversation")
            assert (renamed["change"], renamed["title"]) == ("renamed", f"Title {number}")
            assert pinned["change"] == "pinned"

    rating = {
        "best_response_id": f"{turn_id}-1",
        "thumbs": {f"{turn_id}-2": "down"},
        "note": "The first\none is right.",
    }
    rated = await system.one.put(f"{url}/turns/{turn_id}/rating", json=rating)
    assert rated.status_code == 200
    assert rated.json() == {"conversation_id": conversation_id, "turn_id": turn_id} | rating
    cleared = await system.one.put(f"{url}/turns/{turn_id}/rating", json={})
    assert cleared.status_code == 200

    stranger = await system.one.put(f"{url}/turns/{turn_id}/rating", json={"thumbs": {"nobody": "up"}})
    assert code(stranger) == (400, "not_in_turn")
    for wrong in ("0" * 32, f"{turn_id}%00", f"%00{turn_id}"):
        no_turn = await system.one.put(f"{url}/turns/{wrong}/rating", json={})
        assert code(no_turn) == (404, "not_found")
    assert code(await system.one.patch(url, json={})) == (400, "nothing_to_change")
    assert code(await system.one.patch(url, json={"title": "a\nb"})) == (422, "invalid_request")

    await system.give_away(conversation_id)
    for answer in (
        await system.one.patch(url, json={"pinned": True}),
        await system.one.delete(url),
        await system.one.put(f"{url}/turns/{turn_id}/rating", json={}),
        await system.one.get(f"{url}/media.zip"),
        await system.one.delete("/api/media/nobodys"),
    ):
        assert code(answer) == (404, "not_found")


async def test_a_change_that_is_not_seen_in_time_is_accepted_and_comes(
    prepared: Settings, gateway: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SEEN_WITHIN_S", 0.3)
    async with running(prepared, gateway, agent=False) as system:
        seen = await system.asked(models=[PAINTER.replace("painter", "text")])
        conversation_id = seen[0]["conversation_id"]
        url = f"/api/conversations/{conversation_id}"
        await system.read(conversation_id)
    async with api_server(system.settings) as alone:
        renamed = await alone.patch(url, json={"title": "Later"})
        assert (renamed.status_code, renamed.json()["title"]) == (202, "Later")
        assert (await alone.get(url)).json()["title"] != "Later"
        gone = await alone.delete(url)
        assert (gone.status_code, gone.json()["status"]) == (202, "deleting")
        with process("runner", system.settings), process("projector", system.settings):
            answer = await deleted(alone, url)
            assert (answer.status_code, answer.json().get("status")) == (200, "deleted"), answer.text
            assert code(await alone.get(url)) == (404, "not_found")
