"""What one model that streams costs the machine: processor time of every process, servers included."""

from __future__ import annotations

import asyncio
import contextlib
import time

import aiohttp
import psutil

from bench.figure import RUNS, Figure, Series, Table
from bench.gateway import STEADY
from bench.parts import parts_of
from bench.processes import data_directory, gateway, system
from bench.questions import ask

PACE_MS = 20
SECONDS = 10
SETTLE_S = 5.0


async def run(quick: bool) -> list[Series]:
    table = Table()
    pieces = (1 if quick else SECONDS) * 1000 // PACE_MS
    with gateway() as models:
        named = {"OPENROUTER_BASE_URL": models, "OPENROUTER_API_KEY": "bench"}
        with data_directory() as directory, system(directory, named) as running:
            await asyncio.sleep(0 if quick else SETTLE_S)  # what starting has left to be done
            families = await asyncio.to_thread(parts_of, running)
            async with aiohttp.ClientSession() as session:
                for number in range(1 if quick else RUNS + 1):
                    before, begun = _spent(families), time.monotonic()
                    await ask(session, running.url, f"count={pieces} pace_ms={PACE_MS}", [STEADY])
                    lasted = time.monotonic() - begun
                    if number == 0 and not quick:
                        continue  # code and connections are cold
                    took = {name: spent - before[name] for name, spent in _spent(families).items()}
                    for name, seconds in sorted(took.items()):
                        table.add(name, "% of a core", 100 * seconds / lasted)
                    table.add("all", "% of a core", 100 * sum(took.values()) / lasted)
    return table.series()


def _spent(families: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Processor seconds so far, by part; a process that has ended is not counted."""
    spent = dict.fromkeys(families, 0.0)
    for name, family in families.items():
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent[name] += times.user + times.system
    return spent


FIGURE = Figure(
    "streaming_cpu",
    f"One model answers with a piece of text every {PACE_MS} ms for {SECONDS} s, to one reader. Processor time of each process "
    "of `polylogue run` and of its servers meanwhile; the gateway and the reader are not counted.",
    run,
)
