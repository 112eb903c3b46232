"""`GET /usage`: how many media of what size and cost were made, by day, model, type or user, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from polylogue.api.compare_stream import Working
from polylogue.api.parameters import Days, Period, Whose
from polylogue.api.principal import Asking
from polylogue.api.sums import Row, summed
from polylogue.api.times import timed
from polylogue.schemas.histogram import Histogram

router = APIRouter(tags=["usage"])

By = Literal["day", "model", "type", "user"]

LATENCY = Histogram("latency_ms")
_COLUMNS = {"day": "day", "model": "model_id", "type": "media_type", "user": "owner_id"}
_NUMBERS = ("stored", "failed", "size_bytes", "cost_usd_micros")


@router.get("/usage")
async def usage(
    services: Working,
    asking: Asking,
    days: Days,
    owner: Whose,
    *,
    by: Annotated[
        list[By] | None, Query(description="What to part the sums by; several may be named.", max_length=4)
    ] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Media only. Latencies are from a medium's last byte to its outcome. `by=user` shows an administrator everybody."""
    parts: tuple[str, ...] = tuple(dict.fromkeys(by or ("day",)))
    if "user" in parts and "admin" in asking.scopes and owner == asking.owner:
        owner = None
    names = {part: _COLUMNS[part] for part in parts}
    found = await summed(
        services.pool, "media_usage_daily", names, (*_NUMBERS, *LATENCY.names), period=days, owner=owner
    )
    rows = [_shown(row, parts) for row in found]
    if form == "csv":
        return _csv(rows, parts, days)
    total = _shown({name: sum(row[name] for row in found) for name in (*_NUMBERS, *LATENCY.names)}, ())
    return JSONResponse(
        {
            "from": days.first.isoformat(),
            "to": days.last.isoformat(),
            "by": parts,
            "rows": rows,
            "total": total,
        }
    )


def _shown(row: Row, parts: Sequence[str]) -> Row:
    named = timed({part: row[part] for part in parts})
    return (
        named
        | {name: row[name] for name in _NUMBERS}
        | {
            "latency_p50_ms": LATENCY.percentile(row, 50),
            "latency_p95_ms": LATENCY.percentile(row, 95),
        }
    )


def _csv(rows: Iterable[Row], parts: Sequence[str], days: Period) -> Response:
    output = io.StringIO()
    writer = csv.DictWriter(output, [*parts, *_NUMBERS, "latency_p50_ms", "latency_p95_ms"])
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    name = f"usage_{days.first}_{days.last}.csv"
    return Response(
        output.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _cell(value: Any) -> Any:
    """A spreadsheet must not take a model's or a user's name for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
