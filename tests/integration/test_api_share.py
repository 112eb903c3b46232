"""Share links on the whole system with sign-in: what a guest sees, what not, and that a revoked link is dead everywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import httpx
import pytest

from polylogue.api import changes
from polylogue.api import share as api_share
from polylogue.api.auth import accounts
from polylogue.api.byte_stream import ByteStream, Downloads
from polylogue.infra.settings import Settings
from polylogue.media.reading import BackgroundPieces
from polylogue.media.threads import DaemonThreads
from tests.support.accounts import DEAD_WITHIN_S, bearer, key_of, keyed, with_accounts
from tests.support.media_samples import attached, plain
from tests.support.processes import Simulator
from tests.support.whole_system import PAINTER, TEXT, WAIT_S, System, running

pytestmark = [pytest.mark.stack]

# What only an owner is to see, as the owner is shown it.
OWNERS = (
    "cost_usd_micros",
    "usage",
    "pinned",
    "system",
    "key",
    "url",
    "sha256",
    "owner_id",
    "parent_",
    "rating",
)
NOWHERE = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow, noarchive",
    "referrer-policy": "no-referrer",
}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SEEN_WITHIN_S", WAIT_S)


def guest_of(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody without a key."""
    return httpx.AsyncClient(base_url=client.base_url, timeout=WAIT_S, trust_env=False)


async def test_a_link_shows_the_conversation_with_its_media_and_nothing_else_until_it_is_revoked(
    prepared: Settings, gateway: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = keyed(prepared)
    ada, bob = await key_of(settings, "ada"), await key_of(settings, "bob")
    async with (
        running(settings, gateway) as system,
        guest_of(system.one) as guest,
        guest_of(system.other) as far,
    ):
        system.one.headers.update(bearer(ada))
        system.other.headers.update(bearer(ada))
        begun = await system.asked(
            models=[TEXT, PAINTER], system="Secret instructions", attached_images=[attached(plain())]
        )
        conversation_id = begun[-1]["conversation_id"]
        stored = await _with_smaller_versions(system, conversation_id)
        url = f"/api/conversations/{conversation_id}/share"
        assert (await system.one.get(url)).json()["code"] == "not_shared"

        made = await asyncio.gather(*(client.post(url) for client in (system.one, system.other) * 2))
        assert {one.status_code for one in made} == {200}
        assert len({one.json()["share_id"] for one in made}) == 1, "two at once gave two links"
        link = made[0].json()["share_id"]
        assert made[0].json()["url"] == f"{str(system.one.base_url).rstrip('/')}/shared/{link}"
        assert (await system.other.get(url)).json()["share_id"] == link
        for method in ("GET", "POST", "DELETE"):
            refused = await system.one.request(method, url, headers=bearer(bob))
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
            assert (await guest.request(method, url)).status_code == 401

        shared = await guest.get(f"/api/shared/{link}")
        assert shared.status_code == 200
        assert NOWHERE.items() <= dict(shared.headers).items()
        assert not [word for word in OWNERS if f'"{word}' in shared.text]
        assert "Secret instructions" not in shared.text
        (turn,) = shared.json()["turns"]
        (own,) = stored["turns"]
        assert [(one["role"], one["model_id"], one["content"]) for one in turn["messages"]] == [
            (one["role"], one["model_id"], one["content"]) for one in own["messages"]
        ]
        await _its_files(guest, turn["messages"], own["messages"])
        await _nothing_else(system, guest, link, bob)
        await _of_its_parents(system)

        address = turn["messages"][2]["media_urls"][0]["content"]
        async with (
            _under_way(guest, address, monkeypatch) as one,
            _under_way(far, address, monkeypatch) as other,
        ):
            assert (await system.one.delete(url)).json()["status"] == "revoked"
            revoked_at = time.monotonic()
            for response in (one, other):
                # It is not ended as if it were whole.
                with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                    await _to_its_end(response)
            assert time.monotonic() - revoked_at < DEAD_WITHIN_S
        for client in (guest, far):
            for dead in (f"/api/shared/{link}", address):
                answer = await client.get(dead)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        again = (await system.one.post(url)).json()["share_id"]
        assert again != link
        assert (await far.get(f"/api/shared/{again}")).status_code == 200
        assert (await far.get(f"/api/shared/{link}")).status_code == 404
        for disabled, status in ((True, 404), (False, 200)):
            await with_accounts(settings, partial(accounts.set_disabled, owner="ada", disabled=disabled))
            assert (await far.get(f"/api/shared/{again}")).status_code == status
        assert (await system.one.delete(f"/api/conversations/{conversation_id}")).status_code == 200
        assert (await far.get(f"/api/shared/{again}")).status_code == 404


@asynccontextmanager
async def _under_way(
    guest: httpx.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.Response]:
    """A file that goes through the server, and has no end."""

    def endless(*_: object) -> ByteStream:
        pieces = BackgroundPieces(DaemonThreads(1, "endless"), (b"x" * 65536 for _ in count()))
        return ByteStream(b"first", pieces, Downloads(1), headers={"Content-Type": "image/png"})

    with monkeypatch.context() as patched:
        patched.setattr(api_share, "redirected", endless)
        async with guest.stream("GET", address) as response:
            assert response.status_code == 200
            patched.undo()
            yield response


async def _to_its_end(response: httpx.Response) -> None:
    async with asyncio.timeout(WAIT_S):
        async for _ in response.aiter_raw():
            pass


async def _with_smaller_versions(system: System, conversation_id: str) -> dict[str, Any]:
    """What is stored once the picture's smaller versions are, which follow it."""
    async with asyncio.timeout(60):
        while True:
            stored: dict[str, Any] = await system.read(conversation_id)
            if stored["turns"][0]["messages"][2]["media_urls"][0].get("renditions"):
                return stored
            await asyncio.sleep(0.05)


async def _its_files(guest: httpx.AsyncClient, messages: list, own: list) -> None:
    """The attached picture, the picture that was made and its renditions, each behind an address that soon ends."""
    attached = messages[0]["attachments"][0]
    (made,) = messages[2]["media_urls"]
    assert made["media_id"] == own[2]["media_urls"][0]["media_id"]
    files = [attached["content"], made["content"], *(one["content"] for one in made["renditions"])]
    assert len(files) > 2
    for file in files:
        led = await guest.get(file)
        assert led.status_code == 302, led.text
        assert NOWHERE.items() <= dict(led.headers).items()
        assert "X-Amz-Expires=120" in led.headers["location"]
        async with httpx.AsyncClient(trust_env=False) as storage:
            body = await storage.get(led.headers["location"])
        assert body.status_code == 200
        assert body.content[:4] in (b"\x89PNG", b"RIFF")


async def _nothing_else(system: System, guest: httpx.AsyncClient, link: str, bob: str) -> None:
    """Neither other media of the same owner nor of others, nor any list, nor a guess."""
    own = system.one.headers["authorization"]
    system.one.headers.update(bearer(bob))
    foreign = await system.asked(models=[PAINTER])
    system.one.headers["authorization"] = own
    media = [frame["media_id"] for frame in foreign if frame["type"] == "media"]
    assert media
    guesses = [
        f"/api/shared/{link}/media/{media[0]}/content",
        f"/api/shared/{link}/media/attached-2-{foreign[-1]['turn_id']}/content",
        f"/api/shared/{link}/media/attached-1-{foreign[-1]['turn_id']}/content",
        f"/api/shared/{link[:-1]}",
        f"/api/shared/{link[1:]}",
        f"/api/shared/{'A' * 32}{link[32:]}",
        f"/api/shared/{link[:32]}{foreign[-1]['conversation_id']}",
        f"/api/shared/{link[32:]}",
        f"/api/shared/{link}%00",
        "/api/shared/",
        "/api/shared",
    ]
    for guess in guesses:
        assert (await guest.get(guess)).status_code == 404, guess
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await guest.request(method, f"/api/shared/{link}")).status_code in (401, 405)
    for closed in (
        "/api/conversations",
        "/api/search?q=Draw",
        "/api/media",
        f"/api/conversations/{link[32:]}",
    ):
        assert (await guest.get(closed)).status_code == 401


async def _of_its_parents(system: System) -> None:
    """Breakouts of one model share what that model made up to the turn, and nothing else."""
    begun = await system.asked(models=[TEXT, PAINTER])
    parent, turn_id = begun[-1]["conversation_id"], begun[-1]["turn_id"]
    later = await system.asked(models=[PAINTER], conversation_id=parent)
    await system.read(parent)
    media = [frame["media_id"] for frame in (*begun, *later) if frame["type"] == "media"]
    kept, hidden = media
    bodies = {
        "painter": {"model": PAINTER, "turn_id": turn_id},
        "text": {"model": TEXT, "turn_id": turn_id},
    }
    seen = {}
    for name, body in bodies.items():
        child = (await system.one.post(f"/api/conversations/{parent}/breakout", json=body)).json()
        await system.read(child["conversation_id"])
        shared = await system.one.post(f"/api/conversations/{child['conversation_id']}/share")
        link = shared.json()["share_id"]
        for medium in (kept, hidden):
            answer = await system.other.get(f"/api/shared/{link}/media/{medium}/content")
            seen[name, medium] = answer.status_code
    assert seen == {
        ("painter", kept): 302,
        ("painter", hidden): 404,
        ("text", kept): 404,
        ("text", hidden): 404,
    }
