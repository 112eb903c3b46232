"""Cursors: text and value mean the same, sort the same, and nothing else is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.cursor import LARGEST_OFFSET, LAST_FRAME, Cursor, CursorError, Place, before, parse

offsets = st.integers(0, LARGEST_OFFSET)


@st.composite
def cursors(draw: st.DrawFn, log_id: str = "0a1b2c3d", partition: int | None = None) -> Cursor:
    offset = draw(offsets)
    return Cursor(
        log_id,
        draw(st.integers(0, 0xFFFF)) if partition is None else partition,
        offset,
        draw(st.integers(0, LAST_FRAME)),
        draw(st.integers(0, offset)),
    )


@given(cursors())
def test_text_is_read_back_as_the_same_cursor(cursor: Cursor) -> None:
    assert parse(str(cursor)) == cursor


@given(cursors(partition=3), cursors(partition=3))
def test_texts_of_a_partition_sort_as_their_places(one: Cursor, other: Cursor) -> None:
    assert len(str(one)) == len(str(other))
    assert (str(one) < str(other)) == (one < other)
    if one.place != other.place:
        assert (str(one) < str(other)) == (one.place < other.place)


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}", fullmatch=True)))
def test_other_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CursorError, match=r"^The cursor is .*\.$"):
        parse(text)


@given(cursors(), st.integers(0, 43), st.characters(exclude_characters="0123456789abcdef-"))
def test_one_wrong_character_is_refused(cursor: Cursor, at: int, wrong: str) -> None:
    text = str(cursor)
    with pytest.raises(CursorError):
        parse(text[:at] + wrong + text[at + 1 :])


def test_another_version_is_refused() -> None:
    text = str(Cursor("0a1b2c3d", 1, 2, 3, 1))
    with pytest.raises(CursorError, match="version"):
        parse("2" + text[1:])


def test_a_start_beyond_the_cursor_is_refused() -> None:
    with pytest.raises(CursorError, match="starts after"):
        parse(str(Cursor("0a1b2c3d", 1, 5, 0, 7)))


@given(st.integers(1, LARGEST_OFFSET))
def test_the_cursor_before_an_offset_lies_between_it_and_the_one_before(offset: int) -> None:
    cursor = parse(str(before("0a1b2c3d", 0, offset)))
    assert Place(offset - 1, LAST_FRAME - 1) < cursor.place < Place(offset, 0)
    assert cursor.start == offset
