"""Numbers, times and states of projections in words for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polylogue.projections.operations import VersionStatus

_MINUTE_S, _HOUR_S = 60, 3600


def count(number: float) -> str:
    return f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return "0 s" if seconds == 0 else f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def share(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else "100 %"


def versions(numbers: list[int]) -> str:
    return ", ".join(f"v{number}" for number in numbers)


def notes(one: VersionStatus) -> str:
    """What is out of the ordinary, in few words."""
    told = ["paused"] if one.paused else []
    told += [f"stopped at {stop.partition}/{stop.stopped_at}" for stop in one.stopped]
    told += [f"{len(one.skips)} skipped"] if one.skips else []
    told += [] if one.in_code else ["not of this software"]
    return ", ".join(told)
