"""Counts in fixed buckets, one integer column each: what a projection writes and what its readers make percentiles of.

Counts can be added up over days, models and partitions in any order; percentiles cannot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_BOUNDS_MS = (
    *(10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1000, 1500, 2000, 3000, 5000, 7000, 10_000, 15_000, 20_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000),
)


@dataclass(frozen=True)
class Histogram:
    """Of whole milliseconds up to ten minutes; the last bucket holds what is above."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in rising order."""
        return (*(f"{self.name}_to_{bound}" for bound in _BOUNDS_MS), f"{self.name}_beyond")

    def columns(self) -> dict[str, str]:
        """Names and SQL definitions."""
        return dict.fromkeys(self.names, "bigint NOT NULL DEFAULT 0")

    def count(self, value_ms: int | None) -> dict[str, int]:
        """What one value adds to which column; nothing for None."""
        return {} if value_ms is None else {self.names[bisect_left(_BOUNDS_MS, value_ms)]: 1}

    def percentile(self, row: Mapping[str, Any], percent: int) -> int | None:
        """The value within which `percent` of all lie, as if those of a bucket lay evenly in it; None where none is.

        Whole numbers throughout, so that the same counts give the same answer everywhere.
        """
        counts = [int(row[name] or 0) for name in self.names]
        wanted, below = -(-sum(counts) * percent // 100), 0
        for (low, high), count in zip(pairwise((0, *_BOUNDS_MS, _BOUNDS_MS[-1])), counts, strict=True):
            if wanted and below + count >= wanted:
                return low + (high - low) * (wanted - below) // count
            below += count
        return None
