"""Records that were removed below a reader's cursor: it is told so, why, and where to go on; on every stream."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from polylogue.api import owner_reading
from polylogue.api.cursor import parse
from polylogue.infra.settings import Settings
from polylogue.schemas import events
from tests.support.api_server import api_server
from tests.support.script import Script, Wire
from tests.support.sse_client import frames

POST = "/api/compare-stream"
MINE = "/api/streams/me"
WAIT_S = 60.0
BODY = {"input_data": "Hello", "models": ["sim/text"]}

pytestmark = [pytest.mark.stack]


async def ended_turn(client: httpx.AsyncClient, wire: Wire) -> tuple[Script, list[dict[str, Any]]]:
    async with frames(client, "POST", POST, json=BODY) as stream:
        script = await wire.script()
        await wire.write(*script.opening(), *script.answer(script.start.responses[0].response_id, "x"))
        return script, await stream.rest()


async def rename(script: Script, wire: Wire, title: str, number: int) -> None:
    renamed = script._event(f"renamed {number}", events.ConversationRenamed(title=title))
    await wire.write(msgspec.structs.replace(renamed, command_offset=number))


async def counted(client: httpx.AsyncClient, outcome: str) -> float:
    name = f'polylogue_api_streams_begun_total{{outcome="{outcome}"}} '
    lines = (await client.get("/metrics", timeout=WAIT_S)).text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


async def test_a_conversation_whose_log_was_removed_says_410_and_where_to_go_on(prepared: Settings) -> None:
    async with api_server(prepared) as writing, Wire(prepared) as wire:
        script, seen = await ended_turn(writing, wire)
        conversation_id = script.command.conversation_id
        await wire.delete_before(conversation_id, parse(seen[-1]["id"]).offset)
        # A process that starts now, too, knows which log this is, and has read none of what is gone.
        async with api_server(prepared) as client:
            standard, data = f"/api/conversations/{conversation_id}/events", f"{POST}/{conversation_id}"
            places = set()
            for url in (standard, data):
                for asked in ({}, {"after": seen[0]["id"]}, {"after": seen[0]["id"], "snapshot": "true"}):
                    refused = await client.get(url, params=asked, timeout=WAIT_S)
                    assert (refused.status_code, refused.json()["code"]) == (410, "retention"), (url, asked)
                    assert refused.json()["detail"].endswith("go on from resume_from.")
                    places.add(refused.json()["resume_from"])
            headers = {"Last-Event-ID": seen[0]["id"]}
            as_frame: dict[str, Any] = {"params": {"errors": "frame"}, "headers": headers}
            async with frames(client, "GET", standard, standard=True, **as_frame) as stream:
                assert stream.response.status_code == 200
                (gap,) = await stream.rest()
            assert (gap["type"], gap["reason"], gap["id"]) == ("gap", "retention", gap["resume_from"])
            assert places == {gap["resume_from"]}
            assert await counted(client, "retention") == 7
            await rename(script, wire, "New", 99)
            for url in (standard, data):
                asked = {"after": gap["resume_from"]}
                async with frames(client, "GET", url, standard=url == standard, params=asked) as stream:
                    async for frame in stream:
                        if frame["type"] == "conversation":
                            assert frame["title"] == "New"
                            break


async def test_a_stream_of_all_conversations_says_410_and_where_to_go_on(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with client.stream("GET", MINE, timeout=WAIT_S) as response:
            lines = response.aiter_lines()
            began = await next_id(lines)  # where it begins, before any frame
            script, _ = await ended_turn(client, wire)
            assert await next_id(lines) != began
        with monkeypatch.context() as patched:
            patched.setattr(owner_reading, "MOST_RECORDS", 1)
            await refused_with("too_far_behind", client, began)
        await rename(script, wire, "Old", 98)
        async with frames(
            client, "GET", f"/api/conversations/{script.command.conversation_id}/events", standard=True
        ) as stream:
            async for frame in stream:
                if frame.get("title") == "Old":
                    break
        await wire.delete_before(script.command.conversation_id, parse(frame["id"]).offset)
        resume = await refused_with("retention", client, began)
        async with client.stream("GET", MINE, params={"after": resume}, timeout=WAIT_S) as response:
            lines = response.aiter_lines()
            assert await next_id(lines) == resume
            await rename(script, wire, "New", 99)
            async for line in lines:
                if line.startswith("data: "):
                    assert '"title":"New"' in line
                    break


async def next_id(lines: Any) -> str:
    async for line in lines:
        if line.startswith("id: "):
            return str(line[4:])
    raise AssertionError("the stream has ended")


async def refused_with(code: str, client: httpx.AsyncClient, after: str) -> str:
    """Checks both forms of the refusal; returns where to go on."""
    refused = await client.get(MINE, params={"after": after}, timeout=WAIT_S)
    assert (refused.status_code, refused.json()["code"]) == (410, code)
    assert refused.json()["detail"].endswith("go on from resume_from.")
    asked: dict[str, Any] = {"params": {"errors": "frame"}, "headers": {"Last-Event-ID": after}}
    async with frames(client, "GET", MINE, standard=True, **asked) as stream:
        assert stream.response.status_code == 200
        (gap,) = await stream.rest()
    assert (gap["type"], gap["reason"]) == ("gap", "retention")
    assert gap["resume_from"] == refused.json()["resume_from"]
    assert await counted(client, code) == 2
    return str(gap["resume_from"])
