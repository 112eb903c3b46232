"""Whatever order records are done in, they are acknowledged as they came, and none behind one that is not done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.ack_order import AckOrder

COUNT = 8


@given(order=st.permutations(range(COUNT)), given_up=st.none() | st.integers(0, COUNT - 1))
def test_acknowledges_the_oldest_without_a_gap(order: list[int], given_up: int | None) -> None:
    acks = AckOrder[int]()
    begun = [acks.begin(1, offset, offset) for offset in range(COUNT)]
    free: list[int] = []
    done: set[int] = set()
    for number in order:
        if number == given_up:
            acks.give_up(begun[number])
            continue
        done.add(number)
        free += acks.finish(begun[number])
        first_missing = min(set(range(COUNT + 1)) - done)
        assert free == list(range(first_missing))
    assert not acks.under_way
    # It comes again, and with it all behind it.
    again = [] if given_up is None else range(given_up, COUNT)
    for offset in again:
        free += acks.finish(acks.begin(1, offset, offset))
    assert free == list(range(COUNT))


def test_a_new_generation_forgets_the_former_one() -> None:
    acks = AckOrder[str]()
    former = acks.begin(1, 5, "former")
    now = acks.begin(2, 4, "now")
    assert acks.finish(former) == []
    assert acks.under_way
    assert acks.finish(now) == ["now"]
