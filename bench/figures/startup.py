"""How long `polylogue run` takes until the first prompt would work."""

from __future__ import annotations

import asyncio

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.processes import data_directory, system

COLD_RUNS = 2
WARM = Target(15)


async def run(quick: bool) -> list[Series]:
    return await asyncio.to_thread(_measure, quick)


def _measure(quick: bool) -> list[Series]:
    table = Table()
    for _ in range(1 if quick else COLD_RUNS):
        with data_directory() as directory:
            with system(directory) as started:
                table.add("new data dir, programs on the disk already", "s", started.ready_after_s)
    with data_directory() as directory:
        with system(directory):
            pass  # makes the data dir
        for _ in range(1 if quick else RUNS):
            with system(directory) as started:
                table.add("warm: known data dir", "s", started.ready_after_s, WARM)
    return table.series()


FIGURE = Figure(
    "startup",
    "From the start of the process `polylogue run` to the line `Polylogue is ready at …` on its standard output: "
    "Kafka, PostgreSQL, S3, topics, tables, simulator, runner, media agent, projector, API. No download is in it.",
    run,
)
