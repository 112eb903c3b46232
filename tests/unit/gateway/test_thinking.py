"""Inline reasoning is told from text, however the tags are cut, and no character is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.events import ReasoningDelta, TextDelta
from polylogue.streams.gateway.thinking import ThinkSplitter


def split(pieces: list[str]) -> tuple[str, str]:
    splitter = ThinkSplitter()
    events = [event for piece in pieces for event in splitter.add(piece)] + splitter.flush()
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return thought, "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>\n\nb", ("a", "b")),
        ("\n <think>a < b</think>c<think>d</think>", ("a < b", "c<think>d</think>")),
        ("a <think>b</think>", ("", "a <think>b</think>")),
        ("<think>never closed </thin", ("never closed </thin", "")),
        ("<thin", ("", "<thin")),
        ("<thinking>a", ("", "<thinking>a")),
        ("", ("", "")),
    ],
)
def test_reasoning_is_told_from_text_whole_or_letter_by_letter(text: str, parts: tuple[str, str]):
    assert split([text]) == parts
    assert split(list(text)) == parts


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "</thi", "nk>", "a", "\n", " "]), max_size=12),
    st.data(),
)
def test_any_cutting_gives_the_same_parts(words: list[str], data: st.DataObject):
    text = "".join(words)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert split(pieces) == split([text])
