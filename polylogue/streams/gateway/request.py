"""One question to one model, and the body of the HTTP request that asks it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from polylogue.schemas.commands import ImageConfig
from polylogue.streams.gateway.protocols import Protocol


class Message(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str | tuple[dict[str, Any], ...]  # text, or parts as the protocol has them


class AudioRequest(msgspec.Struct, frozen=True):
    voice: str
    format: str  # streamed sound comes as pcm16 with most models


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    messages: tuple[Message, ...]
    modalities: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    image_config: ImageConfig | None = None
    audio: AudioRequest | None = None
    media_wanted: bool = True  # if not, what comes all the same is left out undecoded
    protocol: Protocol | None = None  # None: what the gateway's list of models says
    extra: dict[str, Any] = {}  # passed on as it is; cannot override the fields above

    @property
    def prompt(self) -> str:
        """What was asked last, for the protocols that know no conversation."""
        asked = next((message for message in reversed(self.messages) if message.role == "user"), None)
        if asked is None:
            return ""
        if isinstance(asked.content, str):
            return asked.content
        return "\n".join(part["text"] for part in asked.content if isinstance(part.get("text"), str))

    def body(self) -> dict[str, Any]:
        optional = {
            "modalities": list(self.modalities) or None,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "image_config": None if self.image_config is None else msgspec.to_builtins(self.image_config),
            "audio": None if self.audio is None else msgspec.to_builtins(self.audio),
        }
        return {
            **self.extra,
            "model": self.model,
            "messages": [msgspec.to_builtins(message) for message in self.messages],
            "stream": True,
            "usage": {"include": True},
            **{name: value for name, value in optional.items() if value is not None},
        }
