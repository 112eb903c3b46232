"""Two API servers behind a real nginx with the settings that are shipped: streams are what they are without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.commands import CancelTurn
from tests.support.accounts import bearer, key_of, keyed
from tests.support.api_server import api_server
from tests.support.nginx import Nginx, nginx
from tests.support.script import Script, Wire
from tests.support.sse_client import frames, validated

BODY: dict[str, Any] = {"input_data": "Draw a red circle", "models": ["sim/text", "sim/slow"]}
POST = "/api/compare-stream"
WAIT_S = 60.0
SILENT_S = 4  # after which nginx, in this test, takes a process for dead

pytestmark = [pytest.mark.stack]


@dataclass
class Behind:
    """What stands behind nginx, and a client before it."""

    nginx: Nginx
    client: httpx.AsyncClient
    wire: Wire
    key: str
    ports: list[int]
    stops: list[asyncio.Event]

    async def begun(self) -> Script:
        """A turn that has been asked for, and of which its reader has left."""
        async with frames(self.client, "POST", POST, json=BODY) as stream:
            assert stream.response.status_code == 200, stream.response.text
            script = await self.wire.script()
        await self.wire.write(*script.opening())
        return script

    async def streams(self) -> list[float]:
        """How many are open, by process."""
        found = []
        for port in self.ports:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as direct:
                told = (await direct.get("/metrics", headers=bearer(self.key))).text
                (line,) = [one for one in told.splitlines() if one.startswith("polylogue_api_subscribers ")]
                found.append(float(line.split()[1]))
        return found


@asynccontextmanager
async def running(prepared: Settings, folder: Path) -> AsyncIterator[Behind]:
    settings = keyed(prepared, sse_keepalive_s=0.5)
    key = await key_of(settings, "ada", "read", "write", "metrics")
    stops = [asyncio.Event(), asyncio.Event()]
    async with (
        api_server(settings, stop=stops[0]) as one,
        api_server(settings, stop=stops[1]) as other,
        Wire(settings) as wire,
    ):
        ports = [server.base_url.port or 0 for server in (one, other)]
        with nginx(folder, ports, silent_s=SILENT_S) as proxy:
            headers = bearer(key)
            options: dict[str, Any] = {"verify": proxy.trust, "headers": headers, "timeout": WAIT_S}
            async with httpx.AsyncClient(base_url=proxy.url, **options) as client:
                yield Behind(proxy, client, wire, key, ports, stops)


async def test_streams_through_nginx_are_what_they_are_without_it(prepared: Settings, tmp_path: Path) -> None:
    """One system for all of it: to start one takes longer than any of these."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with running(prepared, folder) as behind:
        await frames_arrive_as_they_come(behind)
        await frames_arrive_over_http_2_as_they_come(behind)
        await a_quiet_stream_outlives_the_patience_of_nginx(behind)
        await a_reader_that_drops_goes_on_wherever_it_comes_to(behind)
        await leaving_a_prompt_closes_its_stream_and_stops_nothing(behind)
        await leaving_openais_route_stops_the_turn(behind)
        await the_api_knows_the_scheme_and_its_own_words_come_through(behind)
        await a_reader_of_a_process_that_stops_goes_on_at_the_other(behind)
        nothing_secret_is_logged(behind)


def events_of(script: Script) -> str:
    return f"/api/conversations/{script.command.conversation_id}/events"


async def frames_arrive_as_they_come(behind: Behind) -> None:
    script = await behind.begun()
    (one, _) = (slot.response_id for slot in script.start.responses)
    async with frames(behind.client, "GET", events_of(script), standard=True) as stream:
        assert "content-encoding" not in stream.response.headers
        reading = stream.frames()
        while (await anext(reading))["type"] != "start":
            pass
        assert (await anext(reading))["type"] == "start"
        for number in range(20):
            # The next is not written before this has been seen: nothing waits to be joined by more.
            await behind.wire.write(script.said(one, events.TextAppended(text=f"{number} ")))
            assert (await anext(reading))["content"] == f"{number} "


async def frames_arrive_over_http_2_as_they_come(behind: Behind) -> None:
    script = await behind.begun()
    (one, _) = (slot.response_id for slot in script.start.responses)
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sSN", "--http2", "--cacert", str(behind.nginx.certificate)),
        *("-D", "-", "-H", f"Authorization: Bearer {behind.key}", behind.nginx.url + events_of(script)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert curl.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            assert (await curl.stdout.readline()).split() == [b"HTTP/2", b"200"]
            for number in range(5):
                await behind.wire.write(script.said(one, events.TextAppended(text=f"{number} ")))
                while not (line := await curl.stdout.readline()).startswith(b'data: {"type":"chunk"'):
                    assert line
                assert validated(line[6:])["content"] == f"{number} "
    finally:
        curl.terminate()
        await curl.wait()


async def a_quiet_stream_outlives_the_patience_of_nginx(behind: Behind) -> None:
    script = await behind.begun()
    (one, _) = (slot.response_id for slot in script.start.responses)
    clock = asyncio.get_running_loop().time
    async with frames(behind.client, "GET", f"{POST}/{script.command.conversation_id}") as stream:
        reading = stream.frames(keepalives=True)
        begun = clock()
        while clock() - begun < 1.25 * SILENT_S:
            await anext(reading)
        await behind.wire.write(script.said(one, events.TextAppended(text="still here")))
        async for frame in reading:
            if frame["type"] == "chunk":
                break
    assert frame["content"] == "still here"


async def a_reader_that_drops_goes_on_wherever_it_comes_to(behind: Behind) -> None:
    script = await behind.begun()
    (one, two) = (slot.response_id for slot in script.start.responses)
    await behind.wire.write(*script.answer(one, *map(str, range(20))), *script.answer(two))
    turn = {"turn": script.command.turn_id}
    async with frames(behind.client, "GET", events_of(script), standard=True, params=turn) as stream:
        whole = await stream.rest()
    seen: list[dict[str, Any]] = []
    begun = len(behind.nginx.accesses())
    while True:
        after = {"Last-Event-ID": seen[-1]["id"]} if seen else {}
        async with frames(
            behind.client, "GET", events_of(script), standard=True, params=turn, headers=after
        ) as stream:
            if stream.response.status_code == 204:
                break
            seen.append(await anext(stream.frames()))
    assert seen == whole
    asked = [one for one in behind.nginx.accesses()[begun:] if one["path"] == events_of(script)]
    assert {one["upstream"] for one in asked} == {f"127.0.0.1:{port}" for port in behind.ports}


async def leaving_a_prompt_closes_its_stream_and_stops_nothing(behind: Behind) -> None:
    await all_closed(behind)
    async with frames(behind.client, "POST", POST, json=BODY):
        script = await behind.wire.script()
        assert sum(await behind.streams()) == 1
    await all_closed(behind)
    await behind.wire.write(*script.opening())
    for slot in script.start.responses:
        await behind.wire.write(*script.answer(slot.response_id, "x"))
    turn = {"turn": script.command.turn_id}
    async with frames(behind.client, "GET", events_of(script), standard=True, params=turn) as stream:
        assert (await stream.rest())[-1]["type"] == "complete"
    assert await behind.wire.waiting_commands() == 0


async def all_closed(behind: Behind) -> None:
    async with asyncio.timeout(WAIT_S):
        while sum(await behind.streams()):
            await asyncio.sleep(0.05)


async def leaving_openais_route_stops_the_turn(behind: Behind) -> None:
    asked = {"model": "sim/slow", "stream": True, "messages": [{"role": "user", "content": "Say something"}]}
    leaving = asyncio.create_task(behind.client.post("/v1/chat/completions", json=asked, timeout=WAIT_S))
    script = await behind.wire.script()
    await behind.wire.write(*script.opening())
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(WAIT_S):
        command, _ = await behind.wire.command()
    assert isinstance(command.data, CancelTurn)
    assert command.turn_id == script.command.turn_id


async def the_api_knows_the_scheme_and_its_own_words_come_through(behind: Behind) -> None:
    elsewhere = {"Host": "polylogue.example"}
    signed_in = await behind.client.post("/api/session", json={"key": behind.key}, headers=elsewhere)
    # Over plain HTTP it would have been refused.
    assert signed_in.status_code == 200, signed_in.text
    assert signed_in.headers["set-cookie"].startswith("__Host-polylogue_session=")
    behind.client.cookies.clear()
    cursor = "A" * 8192
    refused = await behind.client.get("/api/streams/me", headers={"Last-Event-ID": cursor})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")
    refused = await behind.client.get("/api/streams/me", params={"after": cursor})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")
    ticket = (await behind.client.post("/api/tickets")).json()["ticket"]
    stranger = {"Authorization": "Bearer nobody"}
    refused = await behind.client.get("/api/streams/me", params={"ticket": ticket}, headers=stranger)
    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")
    assert (await behind.client.get("/api/shared/unguessable", params={"ticket": ticket})).status_code == 404
    assert (await behind.client.get("/metrics")).status_code == 404


async def a_reader_of_a_process_that_stops_goes_on_at_the_other(behind: Behind) -> None:
    await all_closed(behind)
    script = await behind.begun()
    (one, two) = (slot.response_id for slot in script.start.responses)
    turn = {"turn": script.command.turn_id}
    async with frames(behind.client, "GET", events_of(script), standard=True, params=turn) as stream:
        reading = stream.frames()
        seen = [await anext(reading) for _ in range(4)]
        behind.stops[(await behind.streams()).index(1)].set()
        (gap,) = [frame async for frame in reading]
        assert (gap["type"], gap["reason"]) == ("gap", "shutdown")
    for _ in range(4):  # nginx meets the one that is gone, and does not say so
        after = {"Last-Event-ID": gap["resume_from"]}
        async with frames(
            behind.client, "GET", events_of(script), standard=True, params=turn, headers=after
        ) as stream:
            assert stream.response.status_code == 200
    async with frames(
        behind.client, "GET", events_of(script), standard=True, params=turn, headers=after
    ) as stream:
        await behind.wire.write(*script.answer(one), *script.answer(two))
        rest = await stream.rest()
    assert [frame["type"] for frame in rest] == ["done", "done", "complete"]
    assert not {frame["id"] for frame in seen} & {frame["id"] for frame in rest}


def nothing_secret_is_logged(behind: Behind) -> None:
    text = behind.nginx.log_text()
    assert '"path":"/api/conversations/' in text
    assert '"path":"/api/shared/-"' in text
    for secret in ("ticket=", "after=", "unguessable", behind.key):
        assert secret not in text
