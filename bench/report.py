"""A figure's result as a table for people and as JSON for later comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figure import Figure, Series

RESULTS = Path(__file__).parent / "results"


def show(console: Console, figure: Figure, series: Sequence[Series]) -> None:
    names = list(dict.fromkeys(one.table for one in series))
    for name in names:
        told = [one for one in series if one.table == name]
        console.print(_table(figure, name, told, figure.measures if name == names[-1] else None))


def _table(figure: Figure, name: str, series: Sequence[Series], caption: str | None) -> Table:
    runs = max((len(one.values) for one in series), default=0)
    title = f"{figure.name}: {name}" if name else figure.name
    table = Table(title=f"{title} ({runs} runs)", title_justify="left", caption=caption)
    table.caption_justify = "left"
    table.add_column("")
    for heading in ("median", "min", "max"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    table.add_column("target")
    for one in series:
        table.add_row(
            one.name,
            *(_short(value) for value in (one.median, min(one.values), max(one.values))),
            one.unit,
            _verdict(one),
        )
    return table


def write(
    figure: Figure,
    series: Sequence[Series],
    *,
    quick: bool,
    machine: dict[str, Any],
    versions: dict[str, Any],
    directory: Path = RESULTS,
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = directory / f"{figure.name}-{now:%Y%m%dT%H%M%SZ}.json"
    document = {
        "figure": figure.name,
        "measures": figure.measures,
        "at": now.isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine,
        "versions": versions,
        "series": [_record(one) for one in series],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _record(series: Series) -> dict[str, Any]:
    target = series.target
    return {
        **({"table": series.table} if series.table else {}),
        "name": series.name,
        "unit": series.unit,
        "median": series.median,
        "min": min(series.values),
        "max": max(series.values),
        "values": list(series.values),
        "target": None if target is None else str(target),
        "met": None if target is None else target.met(series.median),
    }


def _verdict(series: Series) -> str:
    if series.target is None:
        return ""
    return f"{series.target} {'[green]met[/]' if series.target.met(series.median) else '[red]missed[/]'}"


def _short(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}"
