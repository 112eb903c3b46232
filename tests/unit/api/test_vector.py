"""The cursor of a stream over all partitions: compact, exact, and never trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.cursor import LARGEST_OFFSET, CursorError
from polylogue.api.vector import OtherLogError, Stand, logs_digest, parse, written

DIGEST = logs_digest({0: "0a1b2c3d", 1: "00000000"})


@st.composite
def stands(draw: st.DrawFn) -> Stand:
    offset = draw(st.integers(0, LARGEST_OFFSET - 1))
    return Stand(offset, draw(st.integers(0, 255)), draw(st.integers(0, offset + 1)))


@given(st.lists(stands(), max_size=40))
def test_a_vector_comes_back_as_it_was(places: list[Stand]) -> None:
    vector = dict(enumerate(places))
    text = written(vector, DIGEST)
    assert text.isascii()
    assert "=" not in text
    assert parse(text, DIGEST, len(vector)) == vector


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_what_is_no_vector_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CursorError, match=r"\.$"):
        parse(text, DIGEST, 12)


@given(st.lists(stands(), min_size=1, max_size=12), st.integers(1, 400))
def test_a_part_of_a_vector_is_refused(places: list[Stand], cut: int) -> None:
    text = written(dict(enumerate(places)), DIGEST)
    with pytest.raises(CursorError):
        parse(text[: max(0, len(text) - cut)], DIGEST, len(places))


def test_a_vector_of_another_log_is_told_apart() -> None:
    text = written({0: Stand(1, 0, 1)}, logs_digest({0: "ffffffff"}))
    with pytest.raises(OtherLogError):
        parse(text, DIGEST, 1)


def test_twelve_partitions_of_a_large_log_fit_into_a_hundred_and_sixty_characters() -> None:
    vector = {partition: Stand(2_000_000_000, 255, 1_999_990_000) for partition in range(12)}
    assert len(written(vector, DIGEST)) <= 160
