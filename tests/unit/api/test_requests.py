"""Titles, notes and thumbs: what is taken, and what is refused before anything is written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from polylogue.api.requests import ConversationChange, Rating


@given(st.text(max_size=250))
def test_a_title_is_one_line_of_text_that_can_be_shown(text: str) -> None:
    try:
        title = ConversationChange(title=text).title
    except ValidationError:
        return
    assert title is not None
    assert title == text.strip()
    assert len(title) >= 1
    assert len(text) <= 200
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in title)


@pytest.mark.parametrize(
    "title", ["", "   ", "a\nb", "a\x00b", "a\x1b[31m", "a\u2028b", "a\u202egpj.exe", "x" * 201]
)
def test_a_title_that_would_mislead_or_break_a_page_is_refused(title: str) -> None:
    with pytest.raises(ValidationError):
        ConversationChange(title=title)


@pytest.mark.parametrize(
    "title", ["Blue squares", "青い四角", "مربعات زرقاء", "👩‍👩‍👧 family", "x" * 200, " trimmed "]
)
def test_titles_in_any_script_are_taken(title: str) -> None:
    assert ConversationChange(title=title).title == title.strip()


@pytest.mark.parametrize(
    "rating",
    [{"thumbs": {"r": "sideways"}}, {"note": "a\0b"}, {"note": "x" * 4001}, {"best_response_id": "\ud800"}],
)
def test_a_rating_that_cannot_be_kept_is_refused(rating: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rating.model_validate(rating)


def test_an_empty_rating_takes_the_former_one_back() -> None:
    assert Rating().model_dump() == {"best_response_id": None, "thumbs": {}, "note": None}
