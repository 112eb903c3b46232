"""Speech and transcription endpoints as a pure state machine: sound in pieces, or text in pieces."""

from __future__ import annotations

from typing import Any

from polylogue.streams.gateway.answer import Answer
from polylogue.streams.gateway.chat_fields import text_of
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.typed_events import TypedEvents
from polylogue.streams.gateway.usage import usage_of


class Speech(TypedEvents):
    """See `adapter.Adapter`. The format of the sound is nowhere in the reply: sniffed, else the one asked for."""

    def __init__(self, *, audio_format: str | None = None, max_media_bytes: int = 100 * MIB) -> None:
        super().__init__(Answer(audio_format=audio_format, max_media_bytes=max_media_bytes))
        self._delta_text = False

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        match kind:
            case "speech.audio.delta":
                self._answer.sound(event.get("audio") or event.get("delta"))
            case "transcript.text.delta":
                self._delta_text = True
                self._answer.text(text_of(event.get("delta")))
            case "speech.audio.done" | "transcript.text.done":
                self._finish = "stop"
                self._whole(event)

    def _body(self, document: dict[str, Any]) -> bool:
        self._whole(document)
        self._finish = "stop"
        return any(name in document for name in ("text", "audio"))

    def _whole(self, holder: dict[str, Any]) -> None:
        text = text_of(holder.get("text"))
        if text and not self._delta_text:
            self._answer.text(text)
        audio = holder.get("audio")
        self._answer.sound(audio.get("data") if isinstance(audio, dict) else audio)
        reported = usage_of(holder, None)
        if reported is not None:
            self._answer.usage = reported
