"""Event streams: deliveries for CPU, latency, memory of who only listens, and a thousand who come back at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import sse_runs
from bench.figure import RUNS, Figure, Series, Table, Target
from bench.processes import local_servers
from polylogue.infra.settings import Settings

SECONDS = 5.0
WARM_S = 30.0  # until the broker's Java has compiled what it does for these loads
MOST_P99_MS = 100.0
B_RATES = (1000, 2000, 3000, 4000, 6000)  # events a second to 500 readers
SLOW_RATE = 1000.0  # of which a reader who reads nothing is behind by a mebibyte after some seconds
GROWTH = (1, 100, 1000, 5000, 10_000)


async def run(quick: bool) -> list[Series]:
    windows = 1 if quick else RUNS
    seconds = 2.0 if quick else SECONDS
    with local_servers("kafka", "postgres") as settings:
        await sse_runs.prepare(settings)
        return [
            *await _loads(settings, windows, seconds, quick=quick),
            *await _memory(settings, quick=quick),
            *await _storm(settings, windows, quick=quick),
            *await _growth(settings, seconds, quick=quick),
        ]


async def _loads(settings: Settings, windows: int, seconds: float, *, quick: bool) -> list[Series]:
    table = Table("loads")
    for name, serving in (("product", sse_runs.product), ("plain", sse_runs.plain)):
        async with serving(settings) as server:
            ours = name == "product"
            for load, conversations, rate, wanted in (("A", 1, 50.0, 75_000), ("C", 500, 2000.0, 8_000)):
                found = await sse_runs.run(
                    settings,
                    server,
                    connections=500,
                    conversations=conversations,
                    rate=rate,
                    seconds=seconds,
                    windows=windows,
                    warm_s=2.0 if quick else WARM_S,
                )
                _note(table, f"{load}, {name}", found, Target(wanted, at_most=False) if ours else None)
    async with sse_runs.product(settings) as server:
        for _ in range(windows):
            highest = await _highest(settings, server, quick=quick)
            least = None if quick else Target(1.5, at_most=False)  # one rate says nothing of the highest
            table.add("B, product", "M deliveries/s", highest / 1e6, least)
        for slow in (0, 50):
            # Their sockets fill, then they are behind, then they are cut off.
            found = await sse_runs.run(
                settings, server, connections=450, slow=slow, rate=SLOW_RATE, seconds=seconds, windows=windows
            )
            for one in found:
                table.add(f"450 readers beside {slow} that do not read: p99", "ms", one["p99_ms"])
    return table.series()


async def _memory(settings: Settings, *, quick: bool) -> list[Series]:
    table = Table("memory of idle readers")
    first, more = (100, 400) if quick else (1000, 4000)
    for _ in range(1 if quick else 3):
        async with sse_runs.product(settings) as server:
            (idle,) = await sse_runs.run(settings, server, connections=first + more, first=first, what="idle")
        table.add(f"each of {first} on a fresh process", "KiB", idle["rss_kib_each"], Target(14))
        table.add(f"each of {more} who come then", "KiB", idle["rss_kib_each_more"], Target(14))
    return table.series()


async def _storm(settings: Settings, windows: int, *, quick: bool) -> list[Series]:
    table = Table("storm")
    readers = 100 if quick else 1000
    async with sse_runs.product(settings) as server:
        found = await sse_runs.run(
            settings, server, connections=readers, rate=50, seconds=2, windows=windows, what="storm"
        )
    for one in found:
        table.add(f"{readers} drop: until the last is caught up", "ms", one["caught_up_ms"], Target(500))
        table.add("server's CPU for each, deliveries included", "ms", one["server_cpu_s"] / readers * 1000)
        table.add("lost and doubled", "events", one["lost"] + one["twice"], Target(0))
    return table.series()


async def _growth(settings: Settings, seconds: float, *, quick: bool) -> list[Series]:
    table = Table("growth, 20 events/s")
    for workers in (1, 2):
        async with sse_runs.product(settings, workers=workers) as server:
            for readers in GROWTH[: 2 if quick else None]:
                found = await sse_runs.run(
                    settings, server, connections=readers, rate=20, seconds=seconds, windows=1
                )
                _note(table, f"{readers} readers, {workers} processes", found, None)
    return table.series()


async def _highest(settings: Settings, server: sse_runs.Server, *, quick: bool) -> float:
    """Deliveries a second at the highest rate that 99 of 100 reach within the limit."""
    best = 0.0
    for rate in B_RATES[: 1 if quick else None]:
        (found,) = await sse_runs.run(settings, server, connections=500, rate=rate, seconds=4)
        if found["p99_ms"] > MOST_P99_MS:
            break
        best = max(best, found["deliveries"] / found["seconds"])
    return best


def _note(table: Table, name: str, found: Sequence[Mapping[str, Any]], wanted: Target | None) -> None:
    for one in found:
        each = one["deliveries"] / max(one["server_cpu_s"], 0.01)
        table.add(f"{name}", "deliveries/CPU-s", each, wanted)
        table.add(f"{name}: deliveries", "1/s", one["deliveries"] / one["seconds"])
        table.add(f"{name}: p50", "ms", one["p50_ms"], Target(5) if wanted else None)
        table.add(
            f"{name}: p99", "ms", one["p99_ms"], Target(10) if name.startswith("A, p") and wanted else None
        )
        table.add(f"{name}: CPU of the readers' process", "cores", one["load_cpu_s"] / one["seconds"])


FIGURE = Figure(
    "sse_fan_out",
    "From the moment before a text event is handed to the producer (its text holds that time) to the read of its frame "
    "by one epoll process with all connections. A: 500 readers of one conversation, 50 events/s. C: 500 conversations "
    "with a reader each, 2,000 events/s. B: the highest rate to 500 readers with p99 under 100 ms. Plain: the same "
    "frames by FastAPI's StreamingResponse with a queue a reader. Those who do not read: of one conversation with 1,000 "
    "events/s. A and C are counted after 30 s to warm up, and Kafka's Java runs with the options of its own start script. "
    "Memory is what the server's resident set grows by. CPU is that of the server alone.",
    run,
    only_if_named=True,
)
