"""Data lines are found whatever pieces they come in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.client.lines import LONGEST_LINE, DataLines

STREAM = b': hello\n\ndata: {"a": 1}\n\nid: 5\r\nevent: chunk\r\ndata: {"b": "\xc3\xa4"}\r\n\r\ndata:{}\n\ndata: {"unfinished'
DATA = [b'{"a": 1}', '{"b": "ä"}'.encode(), b"{}"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_fragmentation_gives_the_same_data(cuts: list[int]) -> None:
    lines, found = DataLines(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        found += lines.feed(STREAM[start:end])
    assert found == DATA


def test_a_line_that_never_ends_is_refused() -> None:
    lines = DataLines()
    assert lines.feed(b"x" * LONGEST_LINE) == []
    with pytest.raises(ValueError, match="longer than"):
        lines.feed(b"x")
