"""Chat completions, streamed or whole, as a pure state machine: frames in, gateway events out."""

from __future__ import annotations

from typing import Any

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway import errors, large_json
from polylogue.streams.gateway.audio import AudioPieces
from polylogue.streams.gateway.chat_fields import (
    HeldMessage,
    delta_of,
    first_choice,
    listed,
    reasoning_of,
    text_of,
    thoughts,
)
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    GatewayEvent,
    Noted,
    ReasoningDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.gateway.framing import Frame, JsonBody
from polylogue.streams.gateway.media_intake import MediaIntake
from polylogue.streams.gateway.parts import MediaPart, media_part, media_type_of
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.thinking import ThinkSplitter
from polylogue.streams.gateway.usage import usage_of

TRUNCATED = UpstreamError("truncated", "The answer broke off before its end.", retryable=True)
GARBAGE = UpstreamError("protocol", "The gateway sent something that is not JSON.", retryable=True)


class ChatCompletions:
    """Feed frames in order; then `end` for a clean end of input, or `fail` for a broken one.

    The last event is `Finished` or `UpstreamError`; after it nothing more comes. `usage` is what is known so far.
    """

    def __init__(self, *, audio_format: str | None = None, max_media_bytes: int = 100 * MIB) -> None:
        self._max_media = max_media_bytes
        self._audio_format = audio_format
        self._audio: AudioPieces | None = None
        self._media = MediaIntake(max_bytes=max_media_bytes)
        self._text = ThinkSplitter()
        self._out: list[GatewayEvent] = []
        self._noted: set[str] = set()
        self._delta_text = self._delta_reasoning = self._delta_audio = False
        self._message = HeldMessage()
        self._produced = False
        self._images = 0
        self._finish: str | None = None
        self._native: str | None = None
        self.usage: UsageReported | None = None
        self.ended = False

    def feed(self, frame: Frame) -> list[GatewayEvent]:
        if self.ended:
            return []
        if isinstance(frame, JsonBody):
            return self._whole(frame)
        data = frame.data if len(frame.data) > 32 else frame.data.strip()
        if data == b"[DONE]":
            self._succeed()
        elif data:
            try:
                document = large_json.loads(data)
            except ValueError:
                self._not_json(frame.name, data, cut=frame.cut)
            else:
                self._document(document, is_error=frame.name == "error")
        return self._take()

    def end(self) -> list[GatewayEvent]:
        """The input ended cleanly; without `[DONE]` only a finish reason makes that a success."""
        if not self.ended:
            if self._finish is None:
                self._fail(TRUNCATED)
            else:
                self._succeed()
        return self._take()

    def fail(self, error: UpstreamError) -> list[GatewayEvent]:
        """The input broke off."""
        if not self.ended:
            self._fail(error)
        return self._take()

    def _take(self) -> list[GatewayEvent]:
        out, self._out = self._out, []
        return out

    def _emit(self, event: GatewayEvent) -> None:
        self._flush_text()
        self._produced = True
        self._out.append(event)

    def _whole(self, body: JsonBody) -> list[GatewayEvent]:
        try:
            document = large_json.loads(body.data)
        except ValueError:
            self._fail(TRUNCATED)
            return self._take()
        if isinstance(document, list) and len(document) == 1:  # so Google wraps an error
            document = document[0]
        self._document(document, is_error=False)
        if not self.ended:
            if isinstance(document, dict) and first_choice(document) is not None:
                self._succeed()
            else:
                self._fail(GARBAGE)
        return self._take()

    def _not_json(self, name: str, data: bytes | bytearray, *, cut: bool) -> None:
        if name == "error":
            self._fail(errors.from_document(bytes(data[: errors.MESSAGE_LENGTH]).decode("utf-8", "replace")))
        else:
            self._fail(TRUNCATED if cut else GARBAGE)

    def _document(self, document: Any, *, is_error: bool) -> None:
        if not isinstance(document, dict):
            if is_error:
                self._fail(errors.from_document(document))
            return  # a bare number or list means nothing here
        choice = first_choice(document)
        reported = usage_of(document, choice)
        if reported is not None:
            self.usage = reported
        if choice is not None:
            self._choice(choice, delta_of(document, choice))
        if is_error or errors.is_error(document):
            self._fail(errors.from_document(document))
        elif choice is not None and choice.get("error"):
            self._fail(errors.from_document(choice))
        elif self._finish == "error":
            self._fail(UpstreamError("upstream", "The model ended with an error.", retryable=True))

    def _choice(self, choice: dict[str, Any], delta: dict[str, Any] | None) -> None:
        message = choice.get("message")
        if delta is not None:
            self._delta(delta)
        if isinstance(message, dict):
            self._message_seen(message)
        reason, native = choice.get("finish_reason"), choice.get("native_finish_reason")
        if isinstance(reason, str) and reason:
            self._finish = reason
        if isinstance(native, str) and native:
            self._native = native

    def _delta(self, delta: dict[str, Any]) -> None:
        reasoning = reasoning_of(delta)
        if reasoning:
            self._delta_reasoning = True
            self._emit(ReasoningDelta(reasoning))
        for part in listed(delta.get("content")):
            self._part(part, reasoning_taken=bool(reasoning))
        self._add_text(delta.get("refusal"))
        for image in listed(delta.get("images")):
            self._medium(media_part(image, "image"), "image")
        if isinstance(delta.get("audio"), dict):
            self._delta_audio = True
            self._audio_piece(delta["audio"])
        if delta.get("tool_calls") or delta.get("function_call"):
            self._note(
                "tool_call", "The model asked to call a tool; tools are not offered, so nothing was run."
            )

    def _add_text(self, text: Any) -> None:
        text = text_of(text)
        if text:
            self._delta_text = self._produced = True
            self._out += self._text.add(text)

    def _part(self, part: Any, *, reasoning_taken: bool) -> None:
        if isinstance(part, str | memoryview):
            self._add_text(part)
            return
        if not isinstance(part, dict):
            return
        if part.get("type") in ("thinking", "reasoning"):
            thought = "".join(text_of(piece) for piece in thoughts(part.get("thinking") or part.get("text")))
            if thought and not reasoning_taken:
                self._delta_reasoning = True
                self._emit(ReasoningDelta(thought))
            return
        text = part.get("text") or part.get("refusal")
        if text:
            self._add_text(text)
            return
        media_type = media_type_of(part)
        if media_type is not None:
            self._medium(media_part(part, media_type), media_type)

    def _medium(self, part: MediaPart | None, media_type: MediaType) -> None:
        if part is None:
            return
        event = self._media.take(part)
        if event is not None:
            self._images += media_type == "image"
            self._emit(event)

    def _audio_piece(self, audio: dict[str, Any]) -> None:
        self._add_text(audio.get("transcript"))
        piece = audio.get("data")
        if isinstance(piece, str | memoryview) and len(piece):
            if self._audio is None:
                self._audio = AudioPieces(audio_format=self._audio_format, max_bytes=self._max_media)
            size = self._audio.add(piece)
            if size:
                self._emit(AudioDelta(size))

    def _message_seen(self, message: dict[str, Any]) -> None:
        """Beside deltas a message repeats them, so its text only counts if none ever came; pictures are recognised."""
        held = self._message
        text = "".join(
            text_of(p) if not isinstance(p, dict) else text_of(p.get("text"))
            for p in listed(message.get("content"))
        )
        held.add(text or text_of(message.get("refusal")), reasoning_of(message))
        if isinstance(message.get("audio"), dict):
            held.audio = message["audio"]
        media = [
            part for part in listed(message.get("content")) if isinstance(part, dict) and not part.get("text")
        ]
        for part in media:
            media_type = media_type_of(part)
            if media_type is not None:
                self._message_medium(media_part(part, media_type))
        for image in listed(message.get("images")):
            self._message_medium(media_part(image, "image"))
        if message.get("tool_calls"):
            self._note(
                "tool_call", "The model asked to call a tool; tools are not offered, so nothing was run."
            )

    def _message_medium(self, part: MediaPart | None) -> None:
        event = None if part is None else self._media.take(part)
        if event is None:
            return
        self._images += event.media_type == "image"
        if self._delta_text or not self._message.text:
            self._emit(event)
        else:  # its text, if it is to count at all, comes first
            self._message.media.append(event)

    def _use_message(self) -> None:
        held, self._message = self._message, HeldMessage()
        if held.reasoning and not self._delta_reasoning:
            self._emit(ReasoningDelta(held.reasoning))
        if not self._delta_text:
            self._add_text(held.text)
        for event in held.media:
            self._emit(event)
        if held.audio and not self._delta_audio:
            self._audio_piece(held.audio if not self._delta_text else {**held.audio, "transcript": None})

    def _note(self, code: str, message: str) -> None:
        if code not in self._noted:
            self._noted.add(code)
            self._flush_text()
            self._out.append(Noted(code, message))

    def _flush_text(self) -> None:
        self._out += self._text.flush()

    def _finish_audio(self) -> None:
        audio, self._audio = self._audio, None
        if audio is None:
            return
        for sound in audio.finish():
            event = self._media.take_bytes("audio", sound.data, sound.content_type)
            if event is not None:
                self._emit(event)
        if audio.too_large:
            self._emit(BadMedia("audio", "too_large", "The model sent a sound above the size limit."))
        elif audio.bad:
            self._emit(BadMedia("audio", "bad_base64", "The model sent a sound that is not valid base64."))

    def _succeed(self) -> None:
        self._use_message()
        self._flush_text()
        self._finish_audio()
        usage = self.usage
        if usage is not None and usage.usage.image_tokens and not self._images:
            self._note("no_image", "The model counted a picture but sent none.")
        if self._finish == "content_filter" and not self._produced:
            self._close(
                UpstreamError(
                    "content_filter", "The model's content filter refused to answer.", retryable=False
                )
            )
        else:
            self._close(Finished(self._finish or "stop", self._native))

    def _fail(self, error: UpstreamError) -> None:
        self._use_message()
        self._flush_text()
        if self._audio is not None:
            self._audio = None
            self._note("sound_cut_off", "The sound broke off with the answer and was not kept.")
        self._close(error)

    def _close(self, last: Finished | UpstreamError) -> None:
        if self.usage is not None:
            self._out.append(self.usage)
        self._out.append(last)
        self.ended = True
