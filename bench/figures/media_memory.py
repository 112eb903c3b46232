"""What a media agent holds in memory while it stores one medium, by its size."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.media_requests import agent, claims, counted
from bench.pictures import MB, png
from bench.processes import local_servers
from polylogue.infra.topic_admin import apply_topics
from polylogue.media.store import ensure_bucket

SIZES_MB = (1, 10, 100)
MIB = 1024 * 1024
EVERY_S = 0.01
MORE_AT_100 = Target(64)


async def run(quick: bool) -> list[Series]:
    table = Table()
    with local_servers("kafka", "s3") as servers, tempfile.TemporaryDirectory() as directory:
        await apply_topics(servers, partitions=1)
        ensure_bucket(servers)
        async with claims(servers) as play, counted(servers) as usage:
            for number in range(1 if quick else RUNS):
                most = {}
                for size_mb in SIZES_MB:
                    folder = Path(directory) / f"{number}-{size_mb}"
                    folder.mkdir()
                    settings = servers.model_copy(update={"polylogue_home": folder / "home"})
                    claim = await play.lay(png(size_mb * MB, seed=number))
                    # A process for each: what it once held it may keep.
                    with agent(settings, folder) as pid:
                        watching = asyncio.ensure_future(_watch(psutil.Process(pid)))
                        await play.send([claim], 1)
                        await usage.of([claim.media_id])
                        watching.cancel()
                        most[size_mb], checks = await watching
                    table.add(f"{size_mb} MB: agent", "MiB RSS", most[size_mb])
                    table.add(f"{size_mb} MB: its processes for checks", "MiB RSS", checks)
                table.add("100 MB over 10 MB: agent", "MiB", most[100] - most[10], MORE_AT_100)
    return table.series()


async def _watch(process: psutil.Process) -> tuple[float, float]:
    """The most that was seen until it was cancelled: the agent, and all its children together."""
    own = children = 0
    with suppress(asyncio.CancelledError):
        while True:
            own = max(own, process.memory_info().rss)
            with suppress(psutil.NoSuchProcess):
                children = max(children, sum(one.memory_info().rss for one in process.children()))
            await asyncio.sleep(EVERY_S)
    return own / MIB, children / MIB


FIGURE = Figure(
    "media_memory",
    "The largest resident set of a media agent, and of its processes for checks together, looked at every 10 ms from "
    "before the claim of one picture is sent until its outcome is told; a new agent for every picture.",
    run,
)
