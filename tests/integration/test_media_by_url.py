"""Media that a provider keeps under a URL, on the real stack: stored once with the right bytes, or refused."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

import pytest
from aiohttp import web

from polylogue.infra.settings import Settings
from polylogue.schemas.claims import RemoteSource
from polylogue.schemas.events import MediaFailed, MediaStored
from tests.support.bucket import originals_in_bucket, stored_object
from tests.support.file_server import file_server
from tests.support.media_agent import agent, until
from tests.support.media_log import events, outcomes_of, visible_outcomes
from tests.support.media_runner import png, runner

pytestmark = pytest.mark.stack

PATIENCE_S = 60


def objects(settings: Settings) -> dict[str, bytes]:
    return {key: stored_object(settings, key)["data"] for key in originals_in_bucket(settings)}


async def test_media_by_url_are_stored_and_addresses_that_nobody_allowed_are_refused(
    prepared: Settings,
) -> None:
    data = png(6_000_000)
    failures = 1

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal failures
        if request.path == "/first":
            return web.Response(status=302, headers={"Location": "/film?sig=%2b"})
        if failures:
            failures -= 1
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(body=data)

    async with file_server(serve) as allowed, file_server(serve) as stranger:
        async with runner(prepared) as play, events(prepared) as log:
            good, refused = [
                await play.produce(b"-", segments=None, remote=RemoteSource(url=f"{server.origin}/first"))
                for server in (allowed, stranger)
            ]
            with agent(prepared, media_fetch_allow=allowed.origin) as process:
                for medium in (good, refused):
                    await log.until(
                        lambda all_, id_=medium.claim.media_id: bool(outcomes_of(all_, id_)),
                        timeout_s=PATIENCE_S,
                    )
                assert allowed.origin not in process.text()
                assert "sig=" not in process.text()
            ((stored,), completed) = visible_outcomes(log.records, good.claim)
            assert isinstance(stored, MediaStored)
            assert completed == 1
            assert objects(prepared) == {good.claim.key: data}
            ((failed,), completed) = visible_outcomes(log.records, refused.claim)
            assert isinstance(failed, MediaFailed)
            assert (failed.reason, completed) == ("fetch_failed", 1)
            assert stranger.requests == []


@pytest.mark.parametrize("killed_at", ["download", "agent.before_put", "agent.after_put"])
async def test_an_agent_killed_on_the_way_leaves_one_object_and_one_outcome(
    prepared: Settings, killed_at: str
) -> None:
    served: list[bytes] = []
    half_sent = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        served.append(png(3_000_000))  # other bytes every time, as providers do
        response = web.StreamResponse(headers={"Content-Length": str(len(served[-1]))})
        await response.prepare(request)
        await response.write(served[-1][:1_000_000])
        if killed_at == "download" and len(served) == 1:
            half_sent.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return response
        await response.write(served[-1][1_000_000:])
        return response

    async with file_server(serve) as server:
        changes = {"media_fetch_allow": server.origin}
        async with runner(prepared) as play, events(prepared) as log:
            link = RemoteSource(url=f"{server.origin}/film.png")
            medium = await play.produce(b"-", segments=None, remote=link)
            crash_at = None if killed_at == "download" else killed_at
            with agent(prepared, crash_at=crash_at, **changes) as first:
                if crash_at is None:
                    async with asyncio.timeout(PATIENCE_S):
                        await half_sent.wait()
                    first.kill()
                else:
                    await until(lambda: first.child.poll() is not None, PATIENCE_S)
            with agent(prepared, **changes):
                await log.until(
                    lambda all_: bool(outcomes_of(all_, medium.claim.media_id)), timeout_s=PATIENCE_S
                )
            ((stored,), completed) = visible_outcomes(log.records, medium.claim)
    assert isinstance(stored, MediaStored)
    assert completed == 1
    kept = served[0] if killed_at == "agent.after_put" else served[1]
    assert objects(prepared) == {medium.claim.key: kept}
    assert stored.size_bytes == len(kept)
    assert len(served) == (1 if killed_at == "agent.after_put" else 2)
    assert stored.sha256 == hashlib.sha256(kept).hexdigest()
