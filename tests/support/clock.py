"""A clock that stands until a test moves it, and what to do where the real one must not pass midnight."""

from __future__ import annotations

import asyncio
import datetime as dt


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def early_in_a_day(least_s: float = 60) -> None:
    """So that no day of UTC ends within the test: waits for the next one where this one is nearly over."""
    now = dt.datetime.now(dt.UTC)
    tomorrow = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    left_s = (tomorrow - now).total_seconds()
    if left_s < least_s:
        await asyncio.sleep(left_s + 0.1)
