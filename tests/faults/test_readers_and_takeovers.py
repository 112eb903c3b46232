"""Readers of turns whose runners die, join and leave: whoever drops and comes back sees what one sees who never left."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest
from pydantic import AnyHttpUrl

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.processes import Process, Simulator, process, wait_until
from tests.support.sse_client import frames

POST = "/api/compare-stream"
LONG = "sim/slow:pace=20ms:tokens=5000"
MODELS = [LONG, "sim/slow:pace=30ms:tokens=5000", "sim/text:delay=5s:pace=5ms"]
WAIT_S = 90.0

pytestmark = [pytest.mark.stack]


async def asked(client: httpx.AsyncClient, **more: Any) -> str:
    """The conversation of a turn that has been begun, and of which its reader has left."""
    body = {"input_data": "Tell me", "models": MODELS} | more
    async with frames(client, "POST", POST, json=body) as stream:
        assert stream.response.status_code == 200, stream.response.text
        return str(stream.response.headers["x-conversation-id"])


class Reader:
    """Of a conversation's events from the start, until so many turns are complete."""

    def __init__(self, clients: list[httpx.AsyncClient], conversation_id: str, *, most: int | None) -> None:
        self._clients, self._chance = clients, random.Random(11)
        self._url = f"/api/conversations/{conversation_id}/events"
        self._most = most  # frames of a connection; without it there is one connection
        self.seen: list[dict[str, Any]] = []
        self.connections = 0

    def count(self, kind: str) -> int:
        return sum(frame["type"] == kind for frame in self.seen)

    async def until_complete(self, turns: int) -> None:
        while self.count("complete") < turns:
            self.connections += 1
            after = {"Last-Event-ID": self.seen[-1]["id"]} if self.seen else {}
            left = self._chance.randint(1, self._most) if self._most else -1
            client = self._chance.choice(self._clients)
            async with frames(client, "GET", self._url, standard=True, headers=after) as stream:
                assert stream.response.status_code == 200, stream.response.text
                async for frame in stream:
                    self.seen.append(frame)
                    left -= 1
                    if left == 0 or self.count("complete") == turns:
                        break

    async def says(self, kind: str, more_than: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.count(kind) <= more_than:
                await asyncio.sleep(0.02)


async def taken_over(runner: Process) -> None:
    await asyncio.to_thread(
        wait_until, lambda: "partition_taken_over" in runner.text(), "it has partitions", within_s=WAIT_S
    )


async def test_a_reader_that_keeps_dropping_sees_through_takeovers_what_one_from_the_start_sees(
    prepared: Settings, gateway: Simulator
) -> None:
    changes = {"openrouter_base_url": AnyHttpUrl(gateway.base_url), "log_level": "info"}
    settings = prepared.model_copy(update=changes)
    with process("projector", settings):
        async with api_server(settings) as one, api_server(settings) as other:
            with process("runner", settings) as first:
                await taken_over(first)
                conversation_id = await asked(one)
                staying = Reader([one], conversation_id, most=None)
                dropping = Reader([one, other], conversation_id, most=9)
                reading = asyncio.gather(staying.until_complete(2), dropping.until_complete(2))
                await dropping.says("chunk", 20)
                # In mid-sentence of two answers; the third, unless the machine is slow, is begun again by who follows.
                first.kill()
            with process("runner", settings) as second:
                await dropping.says("complete", 0)
                assert await asked(other, conversation_id=conversation_id) == conversation_id
                await dropping.says("turn", 1)
                await dropping.says("chunk", dropping.count("chunk") + 20)
                with process("runner", settings) as third:
                    await taken_over(third)  # half of the partitions change hands, in mid-sentence
                    assert await asyncio.to_thread(second.stop) == 0  # and now all of them
                    async with asyncio.timeout(WAIT_S):
                        await reading
            late = Reader([other], conversation_id, most=None)
            async with asyncio.timeout(WAIT_S):
                await late.until_complete(2)
    assert dropping.connections > 20
    assert dropping.seen == staying.seen
    assert late.seen == staying.seen
    ids = [frame["id"] for frame in dropping.seen]
    assert ids == sorted(set(ids))
    ends = [frame["finish_reason"] for frame in dropping.seen if frame["type"] == "done"]
    assert len(ends) == 2 * len(MODELS)
    assert ends.count("error") >= 2, "those that were cut off say so, and are shown so once"
