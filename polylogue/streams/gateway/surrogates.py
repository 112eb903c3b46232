"""Joins characters that were cut in two between deltas: halves of a UTF-16 surrogate pair."""

from __future__ import annotations


class HalfCharacters:
    """`join` each piece of a text; a half at its end waits for the other one, and is replaced where none comes."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        if not text:
            return ""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return mended(text)

    def flush(self) -> str:
        half, self._half = self._half, ""
        return mended(half) if half else ""


def mended(text: str) -> str:
    """Halves that meet are one character, others U+FFFD: Kafka, Postgres and browsers take UTF-8 only."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
