"""How long one conversation takes to open, with little, ten times and a hundred times as much history beside it."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import psycopg

from bench.figure import RUNS, Figure, Series, Table, percentile
from bench.processes import BenchError, data_directory, system
from polylogue.client import PolylogueClient
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.tables_sql import version_schema

CONVERSATIONS = 1000  # beside the one that is opened, at 1 ×
TIMES = (1, 10, 100)
QUICK_TIMES = (1, 2)
REQUESTS = 200
QUICK_REQUESTS = 5
MODELS = ("sim/text", "sim/painter", "sim/mixed")
COPIED = ("conversations", "conversation_messages", "media_objects")


async def run(quick: bool) -> list[Series]:
    table = Table()
    with data_directory() as directory, system(directory) as running:
        async with PolylogueClient(running.url) as client:
            frames = [one.frame async for one in client.submit("Draw a circle", MODELS)]
        conversation_id = next(
            found for frame in frames if (found := getattr(frame, "conversation_id", None))
        )
        url = f"{running.url}/api/conversations/{conversation_id}"
        medians: list[float] = []
        there = 0
        async with aiohttp.ClientSession() as session:
            for times in QUICK_TIMES if quick else TIMES:
                wanted = times * (10 if quick else CONVERSATIONS)
                await asyncio.to_thread(_multiply, running.settings(), conversation_id, there, wanted)
                there = wanted
                await _open(session, url, QUICK_REQUESTS)  # the first ones open connections
                found = []
                for _ in range(1 if quick else RUNS):
                    took = await _open(session, url, QUICK_REQUESTS if quick else REQUESTS)
                    found.append(percentile(took, 50))
                    table.add(f"{times} × history: p50", "ms", percentile(took, 50))
                    table.add(f"{times} × history: p99", "ms", percentile(took, 99))
                medians.append(sorted(found)[len(found) // 2])
        table.add("p50 with most history over least", "×", medians[-1] / medians[0])
    return table.series()


async def _open(session: aiohttp.ClientSession, url: str, requests: int) -> list[float]:
    took = []
    for _ in range(requests):
        begun = time.perf_counter()
        async with session.get(url) as response:
            body = await response.read()
        took.append((time.perf_counter() - begun) * 1000)
        if response.status != 200 or b'"messages"' not in body:
            raise BenchError(f"{url} answered {response.status}")
    return took


def _multiply(settings: Settings, conversation_id: str, there: int, wanted: int) -> None:
    """Copies the rows of the conversation under other ids, as they would be after so many."""
    conninfo = connection_string(settings, statement_timeout="0")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for projection in PROJECTIONS:
            if projection.name not in COPIED:
                continue
            schema = version_schema(settings.database_schema, projection.name, projection.version)
            for table in projection.tables:
                # Every id begins with something of its conversation, so a prefix makes it another one.
                columns = [
                    f"'h' || n || {name}" if name.endswith("_id") and name not in KEPT else name
                    for name in table.columns
                ]
                connection.execute(
                    f'INSERT INTO "{schema}"."{table.name}" ({", ".join(_quoted(table.columns))})'
                    f" SELECT {', '.join(_column(name, one) for name, one in zip(table.columns, columns, strict=True))}"
                    f' FROM "{schema}"."{table.name}", generate_series(%s::integer, %s) AS n'
                    " WHERE conversation_id = %s",
                    [there + 1, wanted, conversation_id],
                )
                connection.execute(f'ANALYZE "{schema}"."{table.name}"')


KEPT = frozenset({"owner_id", "model_id", "share_id"})


def _quoted(names: object) -> list[str]:
    return [f'"{name}"' for name in names]  # type: ignore[attr-defined]


def _column(name: str, expression: str) -> str:
    return f'"{name}"' if expression == name else expression


FIGURE = Figure(
    "open_conversation",
    f"`GET /api/conversations/ID` over HTTP, from the request to the last byte, {REQUESTS} in a row, five times: one "
    f"turn of three models, two pictures and a sound, beside {CONVERSATIONS:,}, ten times and a hundred times as many "
    "conversations of the same size in the tables.",
    run,
)
