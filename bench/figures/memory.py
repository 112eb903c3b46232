"""The resident memory of every process of a running system, at rest and after twenty turns."""

from __future__ import annotations

import asyncio

from bench.figure import RUNS, Figure, Series, Table
from bench.parts import parts_of
from bench.processes import System, data_directory, system
from polylogue.client import PolylogueClient
from polylogue.schemas.frames import CompleteFrame

TURNS = 20
MODELS = ("sim/text", "sim/painter", "sim/mixed")
SETTLE_S = 5.0  # for what starting has left to be freed
BETWEEN_S = 1.0
MIB = 1024 * 1024


async def run(quick: bool) -> list[Series]:
    table = Table()
    turns = 1 if quick else TURNS
    with data_directory() as directory:
        with system(directory) as running:
            await _weigh(table, running, "at rest", quick=quick)
            async with PolylogueClient(running.url) as client:
                for turn in range(turns):
                    frames = [one.frame async for one in client.submit(f"Draw circle {turn}", MODELS)]
                    assert isinstance(frames[-1], CompleteFrame)
            await _weigh(table, running, f"after {turns} turns", quick=quick)
    return table.series()


async def _weigh(table: Table, running: System, when: str, *, quick: bool) -> None:
    await asyncio.sleep(0 if quick else SETTLE_S)
    for _ in range(1 if quick else RUNS):
        found = await asyncio.to_thread(_resident, running)
        for name, (resident, shared_out) in sorted(found.items()):
            table.add(f"{when}: {name}", "MiB RSS", resident / MIB)
            if name == "postgres":
                # Its processes share most of what they hold, which the sum of RSS counts many times.
                table.add(f"{when}: {name}", "MiB PSS", shared_out / MIB)
        table.add(f"{when}: all", "MiB PSS", sum(pss for _, pss in found.values()) / MIB)
        await asyncio.sleep(0 if quick else BETWEEN_S)


def _resident(running: System) -> dict[str, tuple[float, float]]:
    """RSS and PSS by part."""
    sums: dict[str, tuple[float, float]] = {}
    for name, family in parts_of(running).items():
        held = [one.memory_full_info() for one in family]
        sums[name] = (sum(one.rss for one in held), sum(one.pss for one in held))
    return sums


FIGURE = Figure(
    "memory",
    "Resident memory of each process of `polylogue run` and of the servers that it starts, some seconds after the "
    f"ready line, and again after {TURNS} turns of three simulated models: text, two pictures and a sound a turn. Five samples, "
    "a second apart. PSS shares out what several processes hold together.",
    run,
)
