"""Separates reasoning that a model writes into its text, between `<think>` and `</think>`, from the answer."""

from __future__ import annotations

from typing import Literal

from polylogue.streams.gateway.events import ReasoningDelta, TextDelta

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkSplitter:
    """Only a tag at the very start counts: later ones may be what the answer is about."""

    def __init__(self) -> None:
        self._state: Literal["start", "thinking", "gap", "text"] = "start"
        self._held = ""  # what may turn out to be part of a tag

    def add(self, text: str) -> list[TextDelta | ReasoningDelta]:
        text = self._held + text
        self._held = ""
        if self._state == "start":
            begin = text.lstrip()
            if begin.startswith(_OPEN):
                self._state = "thinking"
                text = begin[len(_OPEN) :]
            elif _OPEN.startswith(begin):
                self._held = text
                return []
            else:
                self._state = "text"
        events: list[TextDelta | ReasoningDelta] = []
        if self._state == "thinking":
            thought, closed, text = text.partition(_CLOSE)
            if closed:
                self._state = "gap"
            else:
                keep = _partial_tag(thought)
                thought, self._held = thought[: len(thought) - keep], thought[len(thought) - keep :]
            if thought:
                events.append(ReasoningDelta(thought))
        if self._state == "gap":
            text = text.lstrip("\r\n")
            if text:
                self._state = "text"
        if text:
            events.append(TextDelta(text))
        return events

    def flush(self) -> list[TextDelta | ReasoningDelta]:
        """What was held back, when something other than text follows."""
        held, self._held = self._held, ""
        if not held:
            return []
        if self._state == "thinking":
            return [ReasoningDelta(held)]
        self._state = "text"
        return [TextDelta(held)]


def _partial_tag(text: str) -> int:
    """How many characters at the end may be the start of the closing tag."""
    for length in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
        if text.endswith(_CLOSE[:length]):
            return length
    return 0
