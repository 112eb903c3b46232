"""Percentiles from counted buckets: right within a bucket, and the same in whatever parts they were counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.histogram import MILLISECONDS, Histogram

LATENCY = Histogram("latency")


def _counted(values: list[int]) -> dict[str, int]:
    row = dict.fromkeys(LATENCY.names, 0)
    for value in values:
        for name, number in LATENCY.count(value).items():
            row[name] += number
    return row


@given(st.lists(st.integers(1, MILLISECONDS[-1]), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_the_bound_of_the_bucket_that_holds_it(values: list[int], fraction: float) -> None:
    place = max(0, -int(-fraction * len(values) // 1) - 1)
    exact = sorted(values)[place]

    found = LATENCY.percentile(_counted(values), fraction)

    assert found == next(bound for bound in MILLISECONDS if bound >= exact)


def test_nothing_counted_has_no_percentile_and_what_was_not_measured_counts_nothing() -> None:
    assert LATENCY.percentile(_counted([]), 0.5) is None
    assert LATENCY.count(None) == {}


def test_what_lies_above_the_last_bound_is_said_to_be_it() -> None:
    assert LATENCY.percentile(_counted([10**12]), 0.5) == MILLISECONDS[-1]
