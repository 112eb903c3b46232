"""Chats of the AI SDK on real servers: whose they are, what they stand for, and how a message is replayed elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.commands import CancelTurn, StartTurn
from tests.support.api_server import api_server
from tests.support.principals import Asker
from tests.support.script import Script, Wire
from tests.support.tables import projector

CHAT = "/api/ai-sdk/chat"
MODEL = "sim/text"
PATIENCE_S = 60.0

pytestmark = [pytest.mark.stack]


@dataclass
class Stage:
    """Two API processes, a projector, and a runner that is played by the test."""

    one: httpx.AsyncClient
    other: httpx.AsyncClient
    wire: Wire

    async def turn(self, chat_id: str, *messages: tuple[str, str], **more: Any) -> Script:
        """A turn from what `useChat` sends to the end of its message. Messages are id and text, user and model by
        turns."""
        async with parts(self.one, "POST", CHAT, json=body(chat_id, *messages, **more)) as stream:
            script = await self.wire.script()
            await self.wire.write(*script.opening())
            for slot in script.start.responses:
                await self.wire.write(*script.answer(slot.response_id, "An answer."))
            assert (await stream.rest())[-1]["type"] == "finish"
        return script


class Parts:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def rest(self) -> list[dict[str, Any]]:
        """The parts that are left, to `[DONE]`."""
        seen = []
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line == "data: [DONE]":
                    return seen
                if line.startswith("data: "):
                    seen.append(orjson.loads(line.removeprefix("data: ")))
        raise AssertionError("the stream ended without [DONE]")

    async def until(self, kind: str) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith("data: "):
                    seen.append(orjson.loads(line.removeprefix("data: ")))
                    if seen[-1]["type"] == kind:
                        return seen
        raise AssertionError(f"the stream ended without {kind}")


@asynccontextmanager
async def parts(client: httpx.AsyncClient, method: str, url: str, **more: Any) -> AsyncIterator[Parts]:
    async with client.stream(method, url, timeout=PATIENCE_S, **more) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Parts(response)


def body(chat_id: str, *messages: tuple[str, str], **more: Any) -> dict[str, Any]:
    told = [
        {
            "id": name,
            "role": "assistant" if number % 2 else "user",
            "parts": [{"type": "text", "text": text}],
        }
        for number, (name, text) in enumerate(messages)
    ]
    return {"id": chat_id, "model": MODEL, "messages": told, "trigger": "submit-message"} | more


@asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(projector(settings))
        one, other = [await stack.enter_async_context(api_server(settings)) for _ in range(2)]
        yield Stage(one, other, await stack.enter_async_context(Wire(settings)))


async def test_the_message_under_way_is_replayed_from_its_start_by_any_process(prepared: Settings) -> None:
    async with staged(prepared) as stage:
        assert (await stage.other.get(f"{CHAT}/c/stream")).status_code == 204
        async with parts(stage.one, "POST", CHAT, json=body("c", ("m1", "Say"))) as stream:
            script = await stage.wire.script()
            # Submitted and not begun: there is something to wait for.
            async with parts(stage.other, "GET", f"{CHAT}/c/stream") as early:
                assert (await early.until("start-step"))[0]["messageId"] == f"{script.command.turn_id}-1"
            (slot,) = script.start.responses
            words = [events.TextAppended(text=text) for text in ("One ", "two ")]
            await stage.wire.write(*script.opening(), *(script.said(slot.response_id, one) for one in words))
            seen = await stream.until("text-delta")
            refused = await stage.other.post(
                CHAT, json=body("c", ("m1", "Say"), ("a", "One"), ("m2", "More"))
            )
            assert (refused.status_code, refused.json()["code"]) == (409, "turn_running")

        async with parts(stage.other, "GET", f"{CHAT}/c/stream") as replay:
            await stage.wire.write(*script.answer(slot.response_id, "three"))
            whole = await replay.rest()
        assert whole[: len(seen)] == seen
        assert "".join(part.get("delta", "") for part in whole) == "One two three"
        assert (await stage.other.get(f"{CHAT}/c/stream")).status_code == 204
        # A round opens the turn anew; what is replayed is the answer that is being written, and it alone.
        again = body("c", ("m1", "Say"), trigger="regenerate-message")
        async with parts(stage.one, "POST", CHAT, json=again) as stream:
            second = await stage.wire.script()
            assert second.start.round == 2
            await stage.wire.write(*second.opening())
            async with parts(stage.other, "GET", f"{CHAT}/c/stream") as replay:
                await stage.wire.write(*second.answer(second.start.responses[0].response_id, "Again"))
                both = [await replay.rest(), await stream.rest()]
        assert both[0][0]["messageId"] == both[1][0]["messageId"] == f"{script.command.turn_id}-2"
        for written in both:
            assert "".join(part.get("delta", "") for part in written) == "Again"


async def test_each_owner_has_names_of_their_own(prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(monkeypatch)
    async with staged(prepared) as stage:
        first = await stage.turn("c", ("m1", "Mine"))
        async with parts(stage.one, "POST", CHAT, json=body("c", ("m1", "Mine"), ("a", "x"), ("m2", "More"))):
            running = await stage.wire.script()
            assert running.command.conversation_id == first.command.conversation_id
            asker.become("another", "read", "write")
            assert (await stage.one.get(f"{CHAT}/c/stream")).status_code == 204
            assert (await stage.one.post(f"{CHAT}/c/stop")).status_code == 404
            theirs = await stage.turn("c", ("m1", "Theirs"))
            assert theirs.command.conversation_id != first.command.conversation_id
            assert theirs.command.owner_id == "another"
            asker.become("local", "read", "write")
            stopped = (await stage.one.post(f"{CHAT}/c/stop")).json()
        assert (stopped["stopping"], stopped["turn_id"]) == (True, running.command.turn_id)
        command, _ = await stage.wire.command()
        assert isinstance(command.data, CancelTurn)
        assert command.turn_id == running.command.turn_id


async def test_a_chat_that_the_server_does_not_know_brings_its_past(prepared: Settings) -> None:
    def past(script: Script) -> list[tuple[str, str]]:
        assert isinstance(script.command.data, StartTurn)
        return [(one.role, one.content) for one in script.command.data.history]

    said = [("m1", "First"), ("a1", "An answer."), ("m2", "Second")]
    async with staged(prepared) as stage:
        begun = await stage.turn("c", *said, system="Be brief")
        assert past(begun) == [("user", "First"), ("assistant", "An answer.")]
        assert begun.start.system == "Be brief"
        # From here on the server has the past, whatever the client says.
        known = await stage.turn("c", *said, ("a2", "Not what was said."), ("m3", "Third"))
        assert known.command.conversation_id == begun.command.conversation_id
        assert past(known) == [("user", "Second"), ("assistant", "An answer.")]

        conversation = f"/api/conversations/{begun.command.conversation_id}"
        assert (await stage.one.delete(conversation)).status_code in {200, 202, 204}
        deletion, _ = await stage.wire.command()
        await stage.wire.write(
            known._event(f"{deletion.command_id}.ConversationDeleted", events.ConversationDeleted())
        )
        async with asyncio.timeout(PATIENCE_S):
            while (await stage.one.get(conversation)).status_code != 404:
                await asyncio.sleep(0.05)
        anew = await stage.turn("c", *said)
        assert anew.command.conversation_id != begun.command.conversation_id
        assert past(anew) == [("user", "First"), ("assistant", "An answer.")]


async def test_the_same_request_with_the_same_key_is_one_turn(prepared: Settings) -> None:
    async with staged(prepared) as stage:
        key = {"Idempotency-Key": "once"}
        written = []
        for client in (stage.one, stage.other):
            async with parts(client, "POST", CHAT, json=body("c", ("m1", "Say")), headers=key) as stream:
                if not written:
                    script = await stage.wire.script()
                    await stage.wire.write(*script.opening())
                    await stage.wire.write(*script.answer(script.start.responses[0].response_id, "Once."))
                written.append(await stream.rest())
        assert written[0] == written[1]
        assert await stage.wire.waiting_commands() == 0
        other = await stage.turn("c", ("m1", "Say"), ("a", "Once."), ("m2", "More"))
        assert other.command.conversation_id == script.command.conversation_id
