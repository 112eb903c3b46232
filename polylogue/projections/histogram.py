"""Percentiles out of sums: one integer column a bucket, so that partitions and days can be added up in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# 10 ms to two and a half hours; each bound is 1.5 times the one before, so a percentile is off by half of it at most.
MILLISECONDS = tuple(round(10 * 1.5**step) for step in range(35))


@dataclass(frozen=True)
class Histogram:
    """Of values up to each of the rising `bounds`, and of those above the last."""

    name: str
    bounds: Sequence[int] = MILLISECONDS

    @property
    def names(self) -> tuple[str, ...]:
        return (*(f"{self.name}_le_{bound}" for bound in self.bounds), f"{self.name}_more")

    def columns(self) -> dict[str, str]:
        """For a table's `columns`."""
        return dict.fromkeys(self.names, "bigint NOT NULL DEFAULT 0")

    def count(self, value: int | None) -> dict[str, int]:
        """For `RowChanges.add`; nothing for None."""
        if value is None:
            return {}
        place = next((n for n, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        return {self.names[place]: 1}

    def percentile(self, row: Mapping[str, Any], fraction: float) -> int | None:
        """The bound of the bucket that holds it; None where nothing was counted. Above the last bound: that bound."""
        counts = [int(row[name] or 0) for name in self.names]
        wanted, seen = fraction * sum(counts), 0
        for count, bound in zip(counts, (*self.bounds, self.bounds[-1]), strict=True):
            seen += count
            if count and seen >= wanted:
                return bound
        return None
