"""What the way through the log costs a chunk of text, beside a proxy that passes the gateway's stream on."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence

import aiohttp

from bench.figure import RUNS, Figure, Series, Table, Target, percentile
from bench.gateway import BESIDE, STEADY
from bench.processes import BenchError, data_directory, gateway, server, system
from bench.questions import ask, latencies_ms

PACE_MS = 20
CHUNKS = 250
QUICK_CHUNKS = 20
WANTED_MS = Target(15)
MODELS = {"1 model": [STEADY], f"{BESIDE} models": [STEADY, *(f"{STEADY}-{n}" for n in range(2, BESIDE + 1))]}


async def run(quick: bool) -> list[Series]:
    table = Table()
    count = QUICK_CHUNKS if quick else CHUNKS
    with gateway() as models, server("bench.direct_proxy", "--gateway", models) as direct:
        named = {"OPENROUTER_BASE_URL": models, "OPENROUTER_API_KEY": "bench"}
        with data_directory() as directory, system(directory, named) as running:
            ways = {"Polylogue": running.url, "direct proxy": direct}
            async with aiohttp.ClientSession() as session:
                for url in ways.values():
                    await _latencies(session, url, [STEADY], QUICK_CHUNKS)  # warms up
                for name, asked in MODELS.items():
                    for _ in range(1 if quick else RUNS):
                        found = {
                            way: await _latencies(session, url, asked, count) for way, url in ways.items()
                        }
                        _note(table, name, found)
    return table.series()


async def _latencies(
    session: aiohttp.ClientSession, url: str, models: Sequence[str], count: int
) -> list[float]:
    gc.collect()
    found = latencies_ms(await ask(session, url, f"count={count} pace_ms={PACE_MS}", models))
    if len(found) != count * len(models):
        raise BenchError(f"{len(found)} of {count * len(models)} chunks came back")
    return found


def _note(table: Table, name: str, found: Mapping[str, Sequence[float]]) -> None:
    for percent, target in ((50, WANTED_MS), (99, None)):
        ours, theirs = (percentile(found[way], percent) for way in ("Polylogue", "direct proxy"))
        table.add(f"{name}: Polylogue, p{percent}", "ms", ours)
        table.add(f"{name}: direct proxy, p{percent}", "ms", theirs)
        table.add(f"{name}: added by Polylogue, p{percent}", "ms", ours - theirs, target)


FIGURE = Figure(
    "added_latency",
    "From just before the gateway writes a chunk (its text holds that time) to the arrival of the end of the SSE frame "
    f"with that text at the client, one chunk in {PACE_MS} ms from each model, {CHUNKS} chunks a run. Added: the "
    "difference of the percentiles of one run.",
    run,
)
