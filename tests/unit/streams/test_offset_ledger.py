"""The committed offset never passes an unfinished command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.offset_ledger import OffsetLedger


@given(st.lists(st.integers(1, 3), max_size=30), st.randoms())
def test_the_oldest_unfinished_command_is_what_a_successor_reads_first(gaps: list[int], random) -> None:
    ledger, offset, unfinished = OffsetLedger(5), 4, []
    for gap in gaps:
        offset += gap
        ledger.begin(offset)
        unfinished.append(offset)
        while unfinished and random.random() < 0.4:
            ledger.finish(unfinished.pop(random.randrange(len(unfinished))))
        assert ledger.committable == (min(unfinished) if unfinished else ledger.next_offset)
        assert ledger.next_offset == offset + 1


def test_a_command_that_was_passed_cannot_be_begun_again() -> None:
    ledger = OffsetLedger(0)
    ledger.begin(3)
    with pytest.raises(ValueError, match="offset 3 was begun before"):
        ledger.begin(3)


def test_an_untouched_partition_commits_where_it_began() -> None:
    assert OffsetLedger(7).committable == 7
