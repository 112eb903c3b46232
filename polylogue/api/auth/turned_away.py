"""Addresses that have guessed more often than a minute allows: nothing is looked up for them until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_ADDRESSES = 10_000


class TurnedAway:
    """Of one process. What it knows too little of is only looked up once more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, subject: str, ends_in_s: float) -> None:
        if len(self._until) >= MOST_ADDRESSES:
            self._until.clear()
        self._until[subject] = self._clock() + ends_in_s

    def left_s(self, subject: str) -> float | None:
        """None where it may ask."""
        until = self._until.get(subject)
        if until is None:
            return None
        left = until - self._clock()
        if left > 0:
            return left
        del self._until[subject]
        return None
