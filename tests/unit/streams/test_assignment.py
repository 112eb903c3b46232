"""A partition is kept only where nobody else can have had it meanwhile."""

from __future__ import annotations

import pytest

from polylogue.streams.assignment import Membership, rebalance

EARLIER = Membership("member-a", 4)


def test_the_next_generation_of_the_same_member_keeps_what_it_is_given_again() -> None:
    change = rebalance({0, 1, 2}, {1, 2, 3}, Membership("member-a", 5), EARLIER)
    assert (change.kept, change.lost, change.gained) == ({1, 2}, {0}, {3})


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(Membership("member-a", 6), id="a generation was missed"),
        pytest.param(Membership("member-b", 5), id="expelled and joined again"),
        pytest.param(Membership("member-a", 4), id="the same generation once more"),
        pytest.param(Membership("", 5), id="no member"),
    ],
)
def test_everything_is_taken_over_where_a_generation_may_have_been_somebody_elses(now: Membership) -> None:
    change = rebalance({0, 1}, {0, 1}, now, EARLIER)
    assert (change.kept, change.lost, change.gained) == (set(), {0, 1}, {0, 1})


def test_the_first_assignment_is_all_gained() -> None:
    change = rebalance(set(), {0, 1}, Membership("member-a", 1), None)
    assert (change.kept, change.lost, change.gained) == (set(), set(), {0, 1})
