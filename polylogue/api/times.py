"""Times as the API writes them, and the days by which lists are filtered."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Query

FirstDay = Annotated[date | None, Query(alias="from", description="Not before this day, in UTC.")]
LastDay = Annotated[date | None, Query(description="Not after this day, in UTC.")]


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its times in UTC, as text."""
    return {name: shown(value) for name, value in row.items()}


def shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
