"""When the media agent counts as standing still."""

from __future__ import annotations

import pytest

from polylogue.streams.media_watchdog import Overlooked, Stillness
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stillness(clock: Clock) -> Stillness:
    return Stillness(60, clock=clock)


def test_lag_without_progress_is_noticed_after_the_limit(stillness: Stillness, clock: Clock) -> None:
    assert not stillness.observe({0: 5}, {0: 3})
    clock.now = 59
    assert not stillness.observe({0: 5}, {0: 3})
    clock.now = 60
    assert stillness.observe({0: 9}, {0: 3})


def test_an_attempt_begun_is_progress(stillness: Stillness, clock: Clock) -> None:
    stillness.observe({0: 5}, {0: 3})
    clock.now = 59
    stillness.progress()
    clock.now = 118
    assert not stillness.observe({0: 5}, {0: 3})
    clock.now = 119
    assert stillness.observe({0: 5}, {0: 3})


def test_a_commit_is_progress(stillness: Stillness, clock: Clock) -> None:
    stillness.observe({0: 5}, {0: 3})
    clock.now = 59
    assert not stillness.observe({0: 5}, {0: 4})
    clock.now = 118
    assert not stillness.observe({0: 5}, {0: 4})


@pytest.mark.parametrize(("ends", "committed"), [({0: 3, 1: 0}, {0: 3, 1: 0}), ({}, {})])
def test_without_lag_or_partitions_nothing_is_wrong(
    stillness: Stillness, clock: Clock, ends: dict[int, int], committed: dict[int, int]
) -> None:
    for clock.now in range(0, 1000, 50):
        assert not stillness.observe(ends, committed)


def test_idleness_is_not_held_against_the_first_claim(stillness: Stillness, clock: Clock) -> None:
    stillness.observe({0: 3}, {0: 3})
    clock.now = 500
    assert not stillness.observe({0: 3}, {0: 3})
    clock.now = 501
    assert not stillness.observe({0: 4}, {0: 3})


def test_records_that_wait_while_nobody_works_are_read_again_at_the_second_look() -> None:
    overlooked = Overlooked()
    ends, committed = {0: 5, 1: 5, 2: 5}, {0: 3, 1: 5, 2: 3}
    assert overlooked.observe(ends, committed, busy=[2]) == {}
    # Partition 0 has stood still; 1 has nothing to do; 2 was at work until now.
    assert overlooked.observe(ends, committed, busy=[]) == {0: 3}
    assert overlooked.observe(ends, committed, busy=[0]) == {2: 3}


def test_what_moves_or_was_just_read_again_is_left_alone() -> None:
    overlooked = Overlooked()
    assert overlooked.observe({0: 5}, {0: 1}, busy=[]) == {}
    assert overlooked.observe({0: 5}, {0: 2}, busy=[]) == {}
    assert overlooked.observe({0: 5}, {0: 2}, busy=[]) == {0: 2}
    assert overlooked.observe({0: 5}, {0: 2}, busy=[]) == {}
    assert overlooked.observe({}, {}, busy=[]) == {}
    assert overlooked.observe({0: 5}, {0: 2}, busy=[]) == {}
