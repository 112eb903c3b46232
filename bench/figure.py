"""What a figure is: a name, what it measures from where to where, and series of values with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

RUNS = 5  # the fewest of which a median is given


@dataclass(frozen=True)
class Target:
    """What a series is to reach."""

    limit: float
    at_most: bool = True

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


@dataclass(frozen=True)
class Series:
    """One value a run."""

    name: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None
    table: str = ""  # of those that a figure is shown in

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Figure:
    name: str
    measures: str  # from which byte to which byte
    run: Callable[[bool], Coroutine[Any, Any, Sequence[Series]]]  # told whether a smoke run is enough
    only_if_named: bool = False  # takes too long to be measured with all others


@dataclass
class Table:
    """Collects values under their names and units, one a run, in the order in which the names first come."""

    name: str = ""
    _values: dict[tuple[str, str, Target | None], list[float]] = field(default_factory=dict)

    def add(self, name: str, unit: str, value: float, target: Target | None = None) -> None:
        self._values.setdefault((name, unit, target), []).append(value)

    def series(self) -> list[Series]:
        return [
            Series(name, unit, tuple(values), target, self.name)
            for (name, unit, target), values in self._values.items()
        ]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: a value that was measured, never one between two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
