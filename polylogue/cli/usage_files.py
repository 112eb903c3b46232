"""Usage events as rows of Parquet or CSV files; a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from polylogue.cli.problems import Problem
from polylogue.schemas.clock import parse_rfc3339_ms, rfc3339
from polylogue.schemas.envelope import UsageEvent
from polylogue.schemas.usage import MediaUsageRecorded, Steps

Format = Literal["parquet", "csv"]
Kind = Literal["text", "integer", "time"]
Cell = str | int | None


def _columns() -> dict[str, Kind]:
    """Every field of the contract is a column: one that is added later appears here by itself."""
    found: dict[str, Kind] = {"event_id": "text", "owner_id": "text", "occurred_at": "time"}
    for field in msgspec.structs.fields(MediaUsageRecorded):
        if field.name != "steps":
            found[field.name] = _kind(field.type)
    found |= {f"{field.name}_ms": _kind(field.type) for field in msgspec.structs.fields(Steps)}
    return found | {"recorded_at": "time", "partition": "integer", "offset": "integer"}


def _kind(annotation: Any) -> Kind:
    return "integer" if int in (annotation, *get_args(annotation)) else "text"


COLUMNS = _columns()


def row(event: UsageEvent, recorded_at_ms: int, partition: int, offset: int) -> tuple[Cell, ...]:
    """In the order of COLUMNS; times are Unix ms."""
    data = event.data
    assert isinstance(data, MediaUsageRecorded)
    values = {name: getattr(data, name) for name in data.__struct_fields__ if name != "steps"}
    if data.steps is not None:
        values |= {f"{name}_ms": getattr(data.steps, name) for name in data.steps.__struct_fields__}
    values |= {
        "event_id": event.event_id,
        "owner_id": event.owner_id,
        "occurred_at": parse_rfc3339_ms(event.occurred_at),
        "recorded_at": recorded_at_ms,
        "partition": partition,
        "offset": offset,
    }
    return tuple(values.get(name) for name in COLUMNS)


class RowFile(Protocol):
    def write(self, rows: Sequence[tuple[Cell, ...]]) -> None: ...


@contextlib.contextmanager
def whole_file(path: Path, form: Format) -> Iterator[RowFile]:
    """A file that takes its name when it is complete; what an earlier run left half-written is written anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with _parquet(partial) if form == "parquet" else _csv(partial) as file:
            yield file
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require(form: Format) -> None:
    """Raises Problem where what writes this form is not installed."""
    if form != "parquet":
        return
    try:
        import pyarrow.parquet  # noqa: F401 (only to know that it is there)
    except ImportError:
        raise Problem(
            "Parquet needs pyarrow, which is not installed: pip install 'polylogue[analytics]', or use --format csv."
        ) from None


class _CsvFile:
    def __init__(self, file: Any) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._times = [number for number, kind in enumerate(COLUMNS.values()) if kind == "time"]

    def write(self, rows: Sequence[tuple[Cell, ...]]) -> None:
        for one in rows:
            cells = list(one)
            for number in self._times:
                at = cells[number]
                cells[number] = rfc3339(at) if isinstance(at, int) else None
            self._writer.writerow(cells)


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[RowFile]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _CsvFile(file)


class _ParquetFile:
    def __init__(self, arrow: Any, writer: Any, schema: Any) -> None:
        self._arrow, self._writer, self._schema = arrow, writer, schema

    def write(self, rows: Sequence[tuple[Cell, ...]]) -> None:
        columns = [
            self._arrow.array(values, one.type)
            for values, one in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[RowFile]:
    import pyarrow as pa
    from pyarrow import parquet

    types = {"text": pa.string(), "integer": pa.int64(), "time": pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _ParquetFile(pa, writer, schema)
