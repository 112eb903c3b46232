"""`GET /stats/models`: how the models did: answers, failures, speed, cost, and how they were rated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from polylogue.api.compare_stream import Working
from polylogue.api.parameters import Days, Whose
from polylogue.api.sums import Row, summed
from polylogue.api.times import timed
from polylogue.schemas.histogram import Histogram

router = APIRouter(prefix="/stats", tags=["usage"])

FIRST_TOKEN = Histogram("first_token_ms")
_COLUMNS = {"model": "model_id", "day": "day"}
_NUMBERS = ("answers", "failures", "cancellations", "prompt_tokens", "completion_tokens", "cost_usd_micros")
_PACE = ("paced_tokens", "paced_ms")
_RATINGS = ("contested", "won", "thumbs_up", "thumbs_down")


@router.get("/models")
async def models(
    services: Working,
    days: Days,
    owner: Whose,
    by: Annotated[
        Literal["model", "day"], Query(description="`day`: a row for each model and day.")
    ] = "model",
) -> dict[str, Any]:
    """A win is to be chosen as the best of several completed answers of a turn; the last rating of a turn counts."""
    names = _COLUMNS if by == "day" else {"model": "model_id"}
    sums = await summed(
        services.pool, "model_stats", names, (*_NUMBERS, *_PACE, *FIRST_TOKEN.names), period=days, owner=owner
    )
    ratings = await summed(services.pool, "answer_ratings", names, _RATINGS, period=days, owner=owner)
    rows: dict[tuple[Any, ...], Row] = {}
    for row in (*sums, *ratings):
        # A rating of another day than the answer's has a row of its own.
        rows.setdefault(tuple(row[name] for name in names), {}).update(row)
    shown = [_shown(rows[key], tuple(names)) for key in sorted(rows)]
    return {"from": days.first.isoformat(), "to": days.last.isoformat(), "rows": shown}


def _shown(row: Row, names: tuple[str, ...]) -> Row:
    none = dict.fromkeys((*_NUMBERS, *_PACE, *FIRST_TOKEN.names, *_RATINGS), 0)
    row = none | row
    return (
        timed({name: row[name] for name in names})
        | {name: row[name] for name in _NUMBERS}
        | {
            "first_token_p50_ms": FIRST_TOKEN.percentile(row, 50),
            "first_token_p95_ms": FIRST_TOKEN.percentile(row, 95),
            "tokens_per_second": _ratio(row["paced_tokens"] * 1000, row["paced_ms"], 1),
            "contests": row["contested"],
            "wins": row["won"],
            "win_rate": _ratio(row["won"], row["contested"], 4),
            "thumbs_up": row["thumbs_up"],
            "thumbs_down": row["thumbs_down"],
        }
    )


def _ratio(part: int, whole: int, digits: int) -> float | None:
    return round(part / whole, digits) if whole else None
