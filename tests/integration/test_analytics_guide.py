"""The code blocks of docs/analytics.md do what the page says: the consumer, the exact count, the query."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from polylogue.cli.usage_export import export_days
from polylogue.infra.settings import Settings
from tests.support.guides import blocks
from tests.support.processes import environment
from tests.support.usage import at, make_usage_topic, record_usage, used

pytestmark = pytest.mark.stack

PAGE = "analytics.md"
DAY = "2024-11-01"
MOST_LINES = 20


@pytest.fixture
async def usage(settings: Settings) -> Settings:
    """Two models; one event is there three times, and one medium was rejected."""
    await make_usage_topic(settings)
    events = [
        used(1, at(DAY)),
        used(1, at(DAY)),
        used(2, at(DAY), owner="bob"),
        used(3, at(DAY), model="sim/film", media_type="video"),
        used(4, at(DAY), outcome="rejected", reason="empty"),
        used(1, at(DAY)),
    ]
    await record_usage(settings, [(at(DAY), event) for event in events])
    return settings


async def test_the_consumer_counts_each_medium_once(usage: Settings, tmp_path: Path) -> None:
    (source,) = blocks(PAGE, "python")
    assert len([line for line in source.splitlines() if line.strip()]) <= MOST_LINES
    script = tmp_path / "consumer.py"
    script.write_text(source, encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        sys.executable, script, stdout=asyncio.subprocess.PIPE, env=environment(usage)
    )
    assert child.stdout is not None
    try:
        said: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            # Three media are stored; a double would make a fourth line before this one.
            while len(said) < 3:
                said.append(json.loads(await child.stdout.readline()))
            await record_usage(usage, [(at(DAY), used(9, at(DAY)))])
            last = json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()
    assert said[-1] == {"sim/painter": 1001 + 1002, "sim/film": 1003}
    assert last == {"sim/painter": 1001 + 1002 + 1009, "sim/film": 1003}


def test_the_statement_counts_an_event_once_however_often_it_is_run(prepared: Settings) -> None:
    statement = next(block for block in blocks(PAGE, "sql") if "seen_usage" in block)
    assert prepared.database_url is not None
    with psycopg.connect(str(prepared.database_url)) as connection:
        connection.execute("CREATE TEMPORARY TABLE seen_usage (event_id text PRIMARY KEY)")
        connection.execute(
            "CREATE TEMPORARY TABLE bytes_by_model (model text PRIMARY KEY, bytes bigint NOT NULL)"
        )
        for event_id, size in (("a", 5), ("a", 5), ("b", 7), ("a", 5), ("b", 7)):
            values = {"event_id": event_id, "model": "m", "size_bytes": size}
            connection.execute(statement.encode(), values)
        assert connection.execute("SELECT * FROM bytes_by_model").fetchall() == [("m", 12)]


async def test_the_query_runs_on_an_export(
    usage: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = next(block for block in blocks(PAGE, "sql") if "read_parquet" in block)
    await export_days(usage, tmp_path / "usage", "parquet", None, None)
    monkeypatch.chdir(tmp_path)
    found = [(str(day), *rest) for day, *rest in duckdb.sql(query).fetchall()]
    assert found == [(DAY, "sim/film", 1, 1003, 0.039, 30), (DAY, "sim/painter", 2, 2003, 0.078, 20)]
