"""Chat completions, streamed or whole, as a pure state machine: frames in, gateway events out."""

from __future__ import annotations

from typing import Any

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway import errors, large_json
from polylogue.streams.gateway.answer import Answer
from polylogue.streams.gateway.chat_fields import (
    HeldMessage,
    delta_of,
    first_choice,
    listed,
    reasoning_of,
    text_of,
    thoughts,
)
from polylogue.streams.gateway.events import GatewayEvent, UpstreamError, UsageReported
from polylogue.streams.gateway.framing import Frame, JsonBody
from polylogue.streams.gateway.parts import MediaPart, Source, media_part, media_type_of
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.usage import usage_of

_TOOL_CALL = "The model asked to call a tool; tools are not offered, so nothing was run."


class ChatCompletions:
    """See `adapter.Adapter`. `usage` is what is known so far."""

    def __init__(
        self, *, audio_format: str | None = None, max_media_bytes: int = 100 * MIB, media_wanted: bool = True
    ) -> None:
        self._answer = Answer(
            audio_format=audio_format, max_media_bytes=max_media_bytes, media_wanted=media_wanted
        )
        self._delta_text = self._delta_reasoning = self._delta_audio = False
        self._message = HeldMessage()
        self._finish: str | None = None
        self._native: str | None = None

    @property
    def ended(self) -> bool:
        return self._answer.ended

    @property
    def usage(self) -> UsageReported | None:
        return self._answer.usage

    def feed(self, frame: Frame) -> list[GatewayEvent]:
        if self.ended:
            return []
        if isinstance(frame, JsonBody):
            self._whole(frame)
            return self._answer.take()
        data = frame.data if len(frame.data) > 32 else frame.data.strip()
        if data == b"[DONE]":
            self._succeed()
        elif data:
            try:
                document = large_json.loads(data, frame.lifted)
            except ValueError:
                self._fail(errors.not_json(frame))
            else:
                self._document(document, is_error=frame.name == "error")
        return self._answer.take()

    def end(self) -> list[GatewayEvent]:
        """The input ended cleanly; without `[DONE]` only a finish reason makes that a success."""
        if not self.ended:
            if self._finish is None:
                self._fail(errors.TRUNCATED)
            else:
                self._succeed()
        return self._answer.take()

    def fail(self, error: UpstreamError) -> list[GatewayEvent]:
        """The input broke off."""
        if not self.ended:
            self._fail(error)
        return self._answer.take()

    def _whole(self, body: JsonBody) -> None:
        try:
            document = large_json.loads(body.data, body.lifted)
        except ValueError:
            self._fail(errors.TRUNCATED)
            return
        if isinstance(document, list) and len(document) == 1:  # so Google wraps an error
            document = document[0]
        self._document(document, is_error=False)
        if not self.ended:
            if isinstance(document, dict) and first_choice(document) is not None:
                self._succeed()
            else:
                self._fail(errors.GARBAGE)

    def _document(self, document: Any, *, is_error: bool) -> None:
        if not isinstance(document, dict):
            if is_error:
                self._fail(errors.from_document(document))
            return  # a bare number or list means nothing here
        choice = first_choice(document)
        reported = usage_of(document, choice)
        if reported is not None:
            self._answer.usage = reported
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
            self._answer.reasoning(reasoning)
        for part in listed(delta.get("content")):
            self._part(part, reasoning_taken=bool(reasoning))
        self._text(delta.get("refusal"))
        for image in listed(delta.get("images")):
            self._answer.medium(media_part(image, "image"))
        if isinstance(delta.get("audio"), dict):
            self._delta_audio = True
            self._sound(delta["audio"])
        if delta.get("tool_calls") or delta.get("function_call"):
            self._answer.note("tool_call", _TOOL_CALL)

    def _text(self, value: Any) -> None:
        text = text_of(value)
        if text:
            self._delta_text = True
            self._answer.text(text)

    def _part(self, part: Any, *, reasoning_taken: bool) -> None:
        if isinstance(part, Source):
            self._text(part)
            return
        if not isinstance(part, dict):
            return
        if part.get("type") in ("thinking", "reasoning"):
            thought = "".join(text_of(piece) for piece in thoughts(part.get("thinking") or part.get("text")))
            if thought and not reasoning_taken:
                self._delta_reasoning = True
                self._answer.reasoning(thought)
            return
        text = part.get("text") or part.get("refusal")
        if text:
            self._text(text)
            return
        media_type = media_type_of(part)
        if media_type is not None:
            self._answer.medium(media_part(part, media_type))

    def _sound(self, audio: dict[str, Any]) -> None:
        self._text(audio.get("transcript"))
        self._answer.sound(audio.get("data"))

    def _message_seen(self, message: dict[str, Any]) -> None:
        """Beside deltas a message repeats them, so its text only counts if none ever came; pictures are recognised."""
        held = self._message
        text = "".join(
            text_of(part) if not isinstance(part, dict) else text_of(part.get("text"))
            for part in listed(message.get("content"))
        )
        held.add(text or text_of(message.get("refusal")), reasoning_of(message))
        if isinstance(message.get("audio"), dict):
            held.audio = message["audio"]
        for part in listed(message.get("content")):
            if isinstance(part, dict) and not part.get("text"):
                media_type: MediaType | None = media_type_of(part)
                if media_type is not None:
                    self._message_medium(media_part(part, media_type))
        for image in listed(message.get("images")):
            self._message_medium(media_part(image, "image"))
        if message.get("tool_calls"):
            self._answer.note("tool_call", _TOOL_CALL)

    def _message_medium(self, part: MediaPart | None) -> None:
        event = self._answer.recognised(part)
        if event is None:
            return
        if self._delta_text or not self._message.text:
            self._answer.emit(event)
        else:  # its text, if it is to count at all, comes first
            self._message.media.append(event)

    def _use_message(self) -> None:
        held, self._message = self._message, HeldMessage()
        if held.reasoning and not self._delta_reasoning:
            self._answer.reasoning(held.reasoning)
        if not self._delta_text:
            self._text(held.text)
        for event in held.media:
            self._answer.emit(event)
        if held.audio and not self._delta_audio:
            self._sound(held.audio if not self._delta_text else {**held.audio, "transcript": None})

    def _succeed(self) -> None:
        self._use_message()
        self._answer.succeed(self._finish, self._native)

    def _fail(self, error: UpstreamError) -> None:
        self._use_message()
        self._answer.fail(error)
