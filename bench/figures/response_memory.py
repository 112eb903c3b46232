"""What one more active response costs the runner in memory."""

from __future__ import annotations

import asyncio
import contextlib

import psutil

from bench.figure import RUNS, Figure, Series, Table
from bench.processes import BenchError, data_directory, system
from polylogue.client import PolylogueClient
from polylogue.schemas.frames import ChunkFrame

TURNS = 16
MODELS = 12  # a turn's most
SLOW = "sim/slow:pace=200ms:tokens=2000"  # answers until it is stopped
SETTLE_S = 3.0
BETWEEN_S = 1.0
KIB = 1024


async def run(quick: bool) -> list[Series]:
    table = Table()
    turns = 2 if quick else TURNS
    with data_directory() as directory, system(directory) as running:
        runner = _runner(running.pid)
        async with PolylogueClient(running.url) as client:
            await _turn(client, 1, stop_at_once=True)  # what is loaded by the first turn belongs to none
            await asyncio.sleep(0 if quick else SETTLE_S)
            at_rest = runner.memory_info().rss
            async with asyncio.TaskGroup() as group:
                streaming = [group.create_task(_hold(client)) for _ in range(turns)]
                await asyncio.sleep(SETTLE_S)
                for _ in range(1 if quick else RUNS):
                    active = turns * MODELS
                    table.add(
                        f"{active} active responses, each",
                        "KiB",
                        (runner.memory_info().rss - at_rest) / active / KIB,
                    )
                    await asyncio.sleep(BETWEEN_S)
                for task in streaming:
                    task.cancel()
    return table.series()


async def _turn(client: PolylogueClient, models: int, *, stop_at_once: bool) -> None:
    async for one in client.submit("Talk on", (SLOW,) * models):
        if stop_at_once and isinstance(one.frame, ChunkFrame):
            await client.cancel(one.frame.conversation_id)
            stop_at_once = False


async def _hold(client: PolylogueClient) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await _turn(client, MODELS, stop_at_once=False)


def _runner(pid: int) -> psutil.Process:
    for child in psutil.Process(pid).children():
        if "runner" in child.cmdline():
            return child
    raise BenchError("the runner is not there")


FIGURE = Figure(
    "response_memory",
    f"Resident memory of the runner with {TURNS * MODELS} responses streaming, less that before them, by response. "
    "Five samples, a second apart.",
    run,
)
