"""`polylogue usage export`: whole days, each event once, finished days untouched, files whole or absent."""

from __future__ import annotations

import asyncio
import builtins
import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from polylogue.cli import usage_files
from polylogue.cli.main import app
from polylogue.cli.problems import Problem
from polylogue.cli.usage_export import export, export_days
from polylogue.cli.usage_files import COLUMNS
from polylogue.infra.settings import Settings
from polylogue.schemas.clock import now_ms
from polylogue.schemas.usage import MediaUsageRecorded
from tests.support.processes import environment
from tests.support.usage import at, make_usage_topic, record_usage, used

pytestmark = pytest.mark.stack

FIRST, SECOND, THIRD = "2024-11-01", "2024-11-02", "2024-11-03"


@pytest.fixture
async def topic(settings: Settings) -> Settings:
    await make_usage_topic(settings)
    return settings


async def run(settings: Settings, out: Path, form: usage_files.Format = "parquet", **days: str) -> None:
    dates = {name: dt.date.fromisoformat(day) for name, day in days.items()}
    await export_days(settings, out, form, dates.get("first"), dates.get("last"))


def rows(out: Path) -> list[dict[str, Any]]:
    """Every row of the Parquet files, with its folder's day."""
    query = f"SELECT * FROM read_parquet('{out}/*/*.parquet', hive_partitioning = true) ORDER BY media_id"
    found = duckdb.sql(query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def days_of(out: Path) -> dict[str, str]:
    return {row["media_id"]: str(row["day"]) for row in rows(out)}


def files(out: Path) -> dict[str, int]:
    return {str(file.relative_to(out)): file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}


async def test_each_day_has_a_folder_with_every_field_of_its_events(topic: Settings, tmp_path: Path) -> None:
    late = used(2, at(FIRST, "23:59:59"), owner="bob", outcome="rejected", reason="empty", steps=None)
    await record_usage(topic, [(at(FIRST), used(1, at(FIRST))), (at(SECOND, "00:00:01"), late)])
    await run(topic, tmp_path, last=THIRD)
    first, second = rows(tmp_path)
    assert set(first) == {*COLUMNS, "day"}
    assert {name for name in MediaUsageRecorded.__struct_fields__ if name != "steps"} <= set(COLUMNS)
    assert (str(first["day"]), first["outcome"], first["size_bytes"]) == (FIRST, "stored", 1001)
    assert [first[f"{step}_ms"] for step in ("queued", "read", "validate", "upload")] == [1, 2, 3, 4]
    assert first["occurred_at"] == dt.datetime(2024, 11, 1, 12, tzinfo=dt.UTC)
    # A day is one of Kafka's clock, so that a finished one never changes.
    assert (str(second["day"]), second["occurred_at"].day) == (SECOND, 1)
    assert (second["reason"], second["queued_ms"]) == ("empty", None)
    assert not (tmp_path / f"day={THIRD}").exists()


async def test_an_event_that_was_written_twice_is_there_once_also_across_midnight(
    topic: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = used(1, at(FIRST, "23:59:58")), used(2, at(SECOND))
    written = [(FIRST, one), (FIRST, one), (SECOND, one), (SECOND, other), (THIRD, one)]
    await record_usage(topic, [(at(day), event) for day, event in written])
    await run(topic, tmp_path / "all", last=THIRD)
    assert days_of(tmp_path / "all") == {"m1": FIRST, "m2": SECOND}
    assert "day=2024-11-01: 1 events, 1 written twice, counted once" in capsys.readouterr().out
    # The second day alone knows what the first one counted.
    await run(topic, tmp_path / "second", first=SECOND, last=SECOND)
    assert days_of(tmp_path / "second") == {"m2": SECOND}


async def test_a_finished_day_is_kept_and_an_unfinished_one_is_brought_up_to_date(
    topic: Settings, tmp_path: Path
) -> None:
    now = now_ms()
    today = dt.datetime.fromtimestamp(now / 1000, dt.UTC).date().isoformat()
    await record_usage(topic, [(at(FIRST), used(1, at(FIRST))), (now, used(2, now))])
    await run(topic, tmp_path)
    before = files(tmp_path)
    await record_usage(topic, [(now, used(3, now))])
    await run(topic, tmp_path)
    assert days_of(tmp_path) == {"m1": FIRST, "m2": today, "m3": today}
    after = files(tmp_path)
    assert {name for name in after if before.get(name) != after[name] and FIRST in name} == set()


async def test_a_break_in_mid_file_leaves_no_half_file_and_the_next_run_goes_on(
    topic: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = (FIRST, SECOND, THIRD)
    await record_usage(topic, [(at(day), used(number, at(day))) for number, day in enumerate(days)])
    write = usage_files._ParquetFile.write

    def broken(self: Any, batch: Any) -> None:
        write(self, batch)
        if batch[0][3 + list(MediaUsageRecorded.__struct_fields__).index("media_id")] == "m1":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(usage_files._ParquetFile, "write", broken)
        with pytest.raises(OSError, match="No space left"):
            await run(topic, tmp_path, last=THIRD)
    assert days_of(tmp_path) == {"m0": FIRST}
    assert [name for name in files(tmp_path) if "partial" in name] == []
    first_day = {name: time for name, time in files(tmp_path).items() if FIRST in name}
    await run(topic, tmp_path, last=THIRD)
    assert days_of(tmp_path) == {"m0": FIRST, "m1": SECOND, "m2": THIRD}
    assert first_day.items() <= files(tmp_path).items()


async def test_what_is_newer_or_unreadable_is_said_and_a_day_with_newer_records_stays_open(
    topic: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = b'{"type": "MediaUsageRecorded", "version": 99, "data": {}}'
    no_time = b'{"type": "MediaUsageRecorded", "version": 1, "event_id": "e", "owner_id": "o", "occurred_at": "soon", "data": {"outcome": "stored", "media_id": "m", "media_type": "image", "conversation_id": "c", "response_id": "r", "model": "x", "size_bytes": 1}}'
    await record_usage(topic, [(at(FIRST), value) for value in (used(1, at(FIRST)), newer, b"\xff", no_time)])
    await run(topic, tmp_path, last=FIRST)
    said = capsys.readouterr().out
    assert "1 left out that a newer version wrote: upgrade and run this again" in said
    assert "2 left out that cannot be read" in said
    assert len(rows(tmp_path)) == 1
    marker = json.loads((tmp_path / f"day={FIRST}" / "_parquet.json").read_text())
    assert marker["final"] is False


async def test_csv_has_the_same_rows_with_times_as_text(topic: Settings, tmp_path: Path) -> None:
    await record_usage(topic, [(at(FIRST), used(1, at(FIRST))), (at(FIRST), used(2, at(FIRST), owner="bob"))])
    await run(topic, tmp_path, "csv", last=FIRST)
    found = [
        row
        for name in sorted(files(tmp_path))
        if name.endswith(".csv")
        for row in csv.DictReader((tmp_path / name).read_text(encoding="utf-8").splitlines())
    ]
    assert sorted(row["media_id"] for row in found) == ["m1", "m2"]
    assert found[0]["occurred_at"] == "2024-11-01T12:00:00.000Z"
    assert found[0]["reason"] == ""


async def test_many_events_are_written_in_bounded_row_groups(topic: Settings, tmp_path: Path) -> None:
    await record_usage(topic, [(at(FIRST), used(number, at(FIRST))) for number in range(25_000)])
    await run(topic, tmp_path, last=FIRST)
    (name,) = [name for name in files(tmp_path) if name.endswith(".parquet")]
    metadata = parquet.ParquetFile(tmp_path / name).metadata
    assert metadata.num_rows == 25_000
    assert max(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)) < 16_000


async def test_a_folder_of_another_topic_is_not_mixed_up(topic: Settings, tmp_path: Path) -> None:
    await record_usage(topic, [(at(FIRST), used(1, at(FIRST)))])
    await run(topic, tmp_path, last=FIRST)
    other = topic.model_copy(update={"kafka_topic_prefix": topic.kafka_topic_prefix + "b-"})
    await make_usage_topic(other)
    await record_usage(other, [(at(FIRST), used(1, at(FIRST)))])
    with pytest.raises(Problem, match="holds an export of"):
        await run(other, tmp_path, last=FIRST)


async def test_without_topic_or_events_there_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="is missing; run: polylogue topics apply"):
        await run(settings, tmp_path)
    await make_usage_topic(settings)
    with pytest.raises(Problem, match="no usage was recorded"):
        await run(settings, tmp_path)


async def test_the_command_says_what_it_wrote_and_what_it_kept(topic: Settings, tmp_path: Path) -> None:
    await record_usage(topic, [(at(FIRST), used(1, at(FIRST))), (at(THIRD), used(2, at(THIRD)))])
    words = ["usage", "export", "--out", str(tmp_path), "--from", FIRST, "--to", SECOND, "--format", "csv"]
    said = []
    for _ in range(2):
        done = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment(topic))
        assert done.exit_code == 0, done.output
        said.append(done.stdout.splitlines())
    assert said == [[f"day={FIRST}: 1 events"], [f"day={FIRST}: kept, 1 events"]]


async def test_without_pyarrow_parquet_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Problem, match=r"pip install 'polylogue\[analytics\]'"):
        await asyncio.to_thread(export, tmp_path)


def test_a_day_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="--from 2026-13-01 is no day"):
        export(tmp_path, "csv", "2026-13-01", None)
