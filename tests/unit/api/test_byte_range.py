"""Parts of files: what a client may ask for, and what it is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.byte_range import ByteRange, UnsatisfiableError, asked_for, holds, not_modified


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=2-", ByteRange(2, 9)),
        ("bytes=-3", ByteRange(7, 9)),
        ("bytes=-30", ByteRange(0, 9)),
        ("bytes=5-500", ByteRange(5, 9)),
        ("Bytes= 1-2 ", ByteRange(1, 2)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=4-2", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=-0-1", None),
    ],
)
def test_a_range_is_cut_to_the_file_and_nonsense_means_the_whole(
    header: str | None, expected: ByteRange | None
) -> None:
    assert asked_for(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_after_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        asked_for(header, 10)


@given(
    st.text(max_size=40) | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), st.integers(0, 2000)
)
def test_whatever_is_asked_the_range_lies_within_the_file(header: str, size: int) -> None:
    try:
        found = asked_for(header, size)
    except UnsatisfiableError:
        return
    if found is not None:
        assert 0 <= found.first <= found.last < size
        assert found.length == found.last - found.first + 1


def test_a_part_is_given_only_of_the_file_that_the_client_has() -> None:
    assert holds(None, '"a"')
    assert holds('"a"', '"a"')
    assert not holds('"b"', '"a"')
    assert not holds("Wed, 21 Oct 2015 07:28:00 GMT", '"a"')


def test_a_file_that_the_client_has_is_not_sent_again() -> None:
    assert not_modified('"x", W/"a"', '"a"')
    assert not_modified("*", '"a"')
    assert not not_modified('"b"', '"a"')
    assert not not_modified(None, '"a"')
