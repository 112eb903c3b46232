"""For how long a picture of 20 MB holds up everything else in the process that receives it."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import aclosing

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.gateway import PICTURE, STEADY
from bench.pictures import MB
from bench.processes import gateway
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import MediaBytes
from polylogue.streams.gateway.request import ChatRequest, Message

PICTURE_BYTES = 20 * MB
TICK_S = 0.001
WANTED_MS = Target(20)


class Heartbeat:
    """Wakes every millisecond and remembers by how much it came too late at worst."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = time.perf_counter() + TICK_S  # uvloop's own time moves in whole milliseconds
        self._timer = self._loop.call_later(TICK_S, self._beat)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.worst_s = max(self.worst_s, now - self._due)
        self._due = now + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._beat)

    def stop(self) -> None:
        self._timer.cancel()


async def run(quick: bool) -> list[Series]:
    table = Table()
    with gateway() as url:
        async with Gateway(base_url=url, api_key=None) as client:
            await _worst_ms(client, PICTURE, f"size={MB}")  # opens the connection, starts the thread
            for _ in range(1 if quick else 2 * RUNS):
                stalled = await _worst_ms(client, PICTURE, f"size={PICTURE_BYTES}")
                table.add("longest stall while 20 MB pass", "ms", stalled, WANTED_MS)
                # As long and with as little to do: what the machine itself does to a loop.
                idle = await _worst_ms(client, STEADY, "count=20 pace_ms=20")
                table.add("longest stall while 20 words pass", "ms", idle)
    return table.series()


async def _worst_ms(client: Gateway, model: str, prompt: str) -> float:
    gc.collect()
    pictures = 0
    heartbeat = Heartbeat()
    try:
        async with aclosing(
            client.stream(ChatRequest(model=model, messages=(Message("user", prompt),)))
        ) as stream:
            async for events in stream:
                pictures += sum(isinstance(event, MediaBytes) for event in events)
    finally:
        heartbeat.stop()
    assert pictures == (model == PICTURE)
    return heartbeat.worst_s * 1000


FIGURE = Figure(
    "loop_stall",
    "The longest time for which the event loop of the receiving process did not turn between the request and the "
    "end of the answer, while `Gateway.stream` reads, parses, decodes and hashes one picture of 20 MB.",
    run,
)
