"""A process that stops tells every reader to come back, each after a time of its own, and all of them miss nothing."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames, validated

BODY = {"input_data": "Hello", "models": ["sim/text"]}
READERS = 60
WAIT_S = 60.0

pytestmark = [pytest.mark.stack]


class Reader:
    """Keeps all that it is sent, as it is sent."""

    def __init__(self) -> None:
        self.sent = b""

    async def read(self, client: httpx.AsyncClient, url: str) -> None:
        async with client.stream("GET", url, timeout=WAIT_S) as response:
            async for piece in response.aiter_raw():
                self.sent += piece

    @property
    def wait_ms(self) -> int:
        """How long EventSource would wait: what was said last counts."""
        return int(re.findall(rb"^retry: (\d+)$", self.sent, re.MULTILINE)[-1])


async def test_readers_of_a_process_that_stops_come_back_over_seconds_and_miss_nothing(
    prepared: Settings,
) -> None:
    stop = asyncio.Event()
    async with Wire(prepared) as wire, api_server(prepared) as other:
        async with api_server(prepared, stop=stop) as client:
            async with frames(client, "POST", "/api/compare-stream", json=BODY):
                script = await wire.script()
            await wire.write(*script.opening())
            url = f"/api/conversations/{script.command.conversation_id}/events"
            readers = [Reader() for _ in range(READERS)]
            reading = [asyncio.create_task(reader.read(client, url)) for reader in readers[:-1]]
            reading.append(asyncio.create_task(readers[-1].read(client, "/api/streams/me")))
            async with asyncio.timeout(WAIT_S):
                while not all(b'"type":"start"' in reader.sent for reader in readers[:-1]):
                    await asyncio.sleep(0.02)
                while b"retry:" not in readers[-1].sent:
                    await asyncio.sleep(0.02)
            stop.set()
            async with asyncio.timeout(WAIT_S):
                await asyncio.gather(*reading)
        for reader in readers:
            *_, said, gap, rest = reader.sent.split(b"\n\n")
            assert said.startswith(b"retry: "), "it is said before the reader is sent off"
            assert rest == b""
            assert validated(gap.partition(b"data: ")[2])["reason"] == "shutdown"
        waits = [reader.wait_ms for reader in readers]
        assert all(500 <= one <= 4000 for one in waits)
        assert max(waits) - min(waits) > 2000
        assert len(set(waits)) > READERS / 2
        await wire.write(*script.answer(script.start.responses[0].response_id, "while they were away"))
        after = {"Last-Event-ID": re.findall(rb"^id: (.+)$", readers[0].sent, re.MULTILINE)[-1].decode()}
        asked = {"turn": script.command.turn_id}
        async with frames(other, "GET", url, standard=True, headers=after, params=asked) as stream:
            assert [frame["type"] for frame in await stream.rest()] == ["chunk", "done", "complete"]
