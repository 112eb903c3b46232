"""Reads text, reasoning and choice out of a chat completion's chunk, whatever shape they have."""

from __future__ import annotations

from typing import Any

from polylogue.streams.gateway.events import GatewayEvent
from polylogue.streams.gateway.lifted import LiftedString
from polylogue.streams.gateway.parts import Source


class HeldMessage:
    """`choices[].message`, held until it is known whether deltas came."""

    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.audio: dict[str, Any] | None = None
        self.media: list[GatewayEvent] = []

    def add(self, text: str, reasoning: str) -> None:
        self.text = _grown(self.text, text)
        self.reasoning = _grown(self.reasoning, reasoning)


def _grown(before: str, now: str) -> str:
    """Some vendors send all of the message each time, others its next piece."""
    return now if now.startswith(before) else before + now


def first_choice(document: dict[str, Any]) -> dict[str, Any] | None:
    choices = document.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (None, 0):
                return choice
    return None


def delta_of(document: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any] | None:
    """The choice's delta; where the chunk says that its content is a medium in base64, as one in the usual form."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return None
    content, modality = delta.get("content"), document.get("modality")
    if isinstance(content, Source) and modality == "audio":
        return {**delta, "content": None, "audio": {"data": content}}
    if isinstance(content, Source) and modality == "image":
        return {**delta, "content": None, "images": [content]}
    return delta


def listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def thoughts(value: Any) -> list[Source]:
    """The texts of a `thinking` value: a string, or a list of `{text}`."""
    texts = (piece.get("text") if isinstance(piece, dict) else piece for piece in listed(value))
    return [text for text in texts if isinstance(text, Source)]


def text_of(value: Any) -> str:
    """As it came: a character may be cut in two between this piece and the next."""
    if isinstance(value, LiftedString):
        value = value.text()
    if isinstance(value, memoryview):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def reasoning_of(holder: dict[str, Any]) -> str:
    """Under one of its names; the same thought often comes under two."""
    for name in ("reasoning", "reasoning_content"):
        text = text_of(holder.get(name))
        if text:
            return text
    details = [detail for detail in listed(holder.get("reasoning_details")) if isinstance(detail, dict)]
    return "".join(text_of(detail.get("text")) or text_of(detail.get("summary")) for detail in details)
