"""How many media a second one agent stores, how that grows with the partitions, and where the time goes."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.figure import RUNS, Figure, Series, Table
from bench.media_requests import Claims, Counted, agent, claims, counted
from bench.pictures import png
from bench.processes import local_servers
from polylogue.infra.topic_admin import apply_topics
from polylogue.media.store import ensure_bucket

KB = 1000
PARTITIONS = (1, 4, 12)
MEDIA = {200: 48, 2000: 24}  # a run, by KB
STEPS = ("read", "validate", "upload")


async def run(quick: bool) -> list[Series]:
    table = Table()
    with local_servers("kafka", "s3") as servers, tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        settings = servers.model_copy(update={"polylogue_home": folder / "home", "log_level": "info"})
        await apply_topics(settings, partitions=1)
        ensure_bucket(settings)
        async with claims(settings) as play, counted(settings) as usage:
            with agent(settings, folder):
                await _round(play, usage, min(MEDIA), 12, 12, None)
                for size_kb, most in MEDIA.items():
                    for partitions in PARTITIONS:
                        for _ in range(1 if quick else RUNS):
                            count = most // 4 if quick else most
                            await _round(play, usage, size_kb, partitions, count, table)
    return table.series()


async def _round(  # noqa: PLR0917 (what a round is)
    play: Claims, usage: Counted, size_kb: int, partitions: int, count: int, table: Table | None
) -> None:
    """From the first claim's send to the last outcome; the bytes lie in the log before."""
    laid = [await play.lay(png(size_kb * KB, seed=number)) for number in range(count)]
    begun = time.perf_counter()
    await play.send(laid, partitions)
    found = await usage.of(claim.media_id for claim in laid)
    took_s = time.perf_counter() - begun
    if table is None:
        return  # connections, processes and code are cold
    name = f"{size_kb} KB, {partitions} partitions"
    table.add(f"{name}: stored", "media/s", count / took_s)
    for step in STEPS:
        values = [getattr(one.steps, step) or 0 for one in found]
        table.add(f"{name}: {step}, p50 of a medium", "ms", statistics.median(values))


FIGURE = Figure(
    "media_throughput",
    "From the first of 48 claims (24 at 2 MB) sent to the last usage event read, with one agent of two processes for checks; "
    "pictures of noise (PNG) of 200 KB and of 2 MB; the bytes lie in the log before, and smaller versions are made "
    "meanwhile. Claims go to 1, 4 or 12 partitions of `media-requests`: a partition settles one medium at a time.",
    run,
)
