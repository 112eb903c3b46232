"""Time as messages carry it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def rfc3339(at_ms: int | None = None) -> str:
    """RFC 3339 in UTC with milliseconds, of now or of a Unix time in milliseconds."""
    at = datetime.fromtimestamp((now_ms() if at_ms is None else at_ms) / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def parse_rfc3339_ms(text: str) -> int:
    """The inverse of `rfc3339`. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone means something else on every machine")
    return round(at.timestamp() * 1000)
