"""Percentiles out of buckets: near the exact ones, whole, and the same for any order of adding up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from polylogue.schemas.histogram import Histogram

LATENCY = Histogram("latency_ms")


def counted(values: list[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for value in values:
        counts.update(LATENCY.count(value))
    return counts


@given(values=st.lists(st.integers(11, 600_000), min_size=1), percent=st.integers(1, 100))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(values: list[int], percent: int) -> None:
    exact = sorted(values)[-(-len(values) * percent // 100) - 1]

    found = LATENCY.percentile(counted(values), percent)

    # No bucket above ten milliseconds is wider than two and a half times where it begins.
    assert found is not None
    assert exact / 2.5 <= found <= exact * 2.5


@given(values=st.lists(st.integers(0, 2_000_000), min_size=1))
def test_percentiles_rise_and_are_whole(values: list[int]) -> None:
    counts = counted(values)

    found = [LATENCY.percentile(counts, percent) for percent in (1, 50, 95, 100)]

    assert all(isinstance(one, int) for one in found)
    assert found == sorted(found, key=lambda one: one or 0)


def test_what_is_beyond_the_last_bound_counts_as_the_bound() -> None:
    assert LATENCY.percentile(counted([10**9]), 50) == 600_000


def test_nothing_counted_has_no_percentile() -> None:
    assert LATENCY.percentile(Counter(), 95) is None
    assert LATENCY.count(None) == {}


def test_every_value_adds_to_one_of_the_columns() -> None:
    for value in (0, 10, 11, 600_000, 600_001):
        ((name, number),) = LATENCY.count(value).items()
        assert (name in LATENCY.columns(), number) == (True, 1)
