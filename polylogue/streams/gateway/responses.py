"""The Responses API, streamed or whole, as a pure state machine: text, reasoning, sound, and pictures once each."""

from __future__ import annotations

from typing import Any

from polylogue.streams.gateway import errors
from polylogue.streams.gateway.answer import Answer
from polylogue.streams.gateway.chat_fields import listed, text_of
from polylogue.streams.gateway.parts import MediaPart, media_part
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.typed_events import TypedEvents
from polylogue.streams.gateway.usage import usage_of

_IMAGE = "response.image_generation_call."
_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHT = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_TRANSCRIPT = frozenset({"response.audio.transcript.delta", "response.output_audio_transcript.delta"})
_SOUND = frozenset({"response.audio.delta", "response.output_audio.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.done"})
_STATUS_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Responses(TypedEvents):
    """See `adapter.Adapter`.

    Previews of a picture replace each other and are no result. A result comes up to three times (by itself, with its
    finished item, in the finished response) and counts once, by its item.
    """

    def __init__(
        self, *, audio_format: str | None = None, max_media_bytes: int = 100 * MIB, media_wanted: bool = True
    ) -> None:
        super().__init__(
            Answer(audio_format=audio_format, max_media_bytes=max_media_bytes, media_wanted=media_wanted)
        )
        self._delta_text = self._delta_thought = False
        self._begun: set[str] = set()  # pictures of which only the beginning or a preview came
        self._shown: set[str] = set()

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        if kind in _TEXT or kind in _TRANSCRIPT:
            self._delta_text = True
            self._answer.text(text_of(event.get("delta")))
        elif kind in _THOUGHT:
            self._delta_thought = True
            self._answer.reasoning(text_of(event.get("delta")))
        elif kind in _SOUND:
            self._answer.sound(event.get("delta"))
        elif kind.startswith(_IMAGE):
            self._image(event)
        elif kind == "response.output_item.done":
            self._item(event.get("item"))
        elif kind in _ENDS:
            self._response(event.get("response"))
            if not self.ended:
                self._finish = self._finish or "stop"
                self._succeed()
        elif kind == "response.failed":
            self._failed(event.get("response"))

    def _body(self, document: dict[str, Any]) -> bool:
        if not isinstance(document.get("output"), list):
            return False
        self._response(document)
        if document.get("status") == "failed":
            self._failed(document)
        return not self.ended

    def _is_unfinished(self) -> bool:
        return bool(self._begun - self._shown)

    def _image(self, event: dict[str, Any]) -> None:
        item_id = str(event.get("item_id") or event.get("output_index"))
        if event.get("result"):
            self._result(item_id, event)
        else:
            self._begun.add(item_id)

    def _result(self, item_id: str, holder: dict[str, Any]) -> None:
        if item_id in self._shown:
            return
        self._shown.add(item_id)
        declared = holder.get("output_format")
        declared = f"image/{declared}" if isinstance(declared, str) and declared else None
        result = media_part(holder.get("result"), "image")
        if result is not None:
            part = MediaPart("image", result.source, result.declared_content_type or declared)
            self._answer.medium(part, refuse_scraps=True)

    def _item(self, item: Any) -> None:
        """A finished item of the output, as `output_item.done` and the finished response repeat it."""
        if not isinstance(item, dict):
            return
        match item.get("type"):
            case "image_generation_call":
                item_id = str(item.get("id"))
                if item.get("result"):
                    self._result(item_id, item)
                else:
                    self._begun.add(item_id)
            case "code_interpreter_call":
                for output in listed(item.get("outputs")):
                    if isinstance(output, dict) and output.get("type") == "image":
                        self._answer.medium(media_part(output, "image"))
            case "message" if not self._delta_text:
                for part in listed(item.get("content")):
                    if isinstance(part, dict):
                        self._answer.text(text_of(part.get("text") or part.get("refusal")))
            case "reasoning" if not self._delta_thought:
                for part in (*listed(item.get("summary")), *listed(item.get("content"))):
                    if isinstance(part, dict):
                        self._answer.reasoning(text_of(part.get("text")))
            case "function_call":
                self._answer.note(
                    "tool_call", "The model asked to call a tool; tools are not offered, so nothing was run."
                )

    def _response(self, response: Any) -> None:
        """The whole response: what the events have brought already is not taken again."""
        if not isinstance(response, dict):
            return
        items = [item for item in listed(response.get("output")) if isinstance(item, dict)]
        for item in items:
            self._item(item)
        reported = usage_of(response, None)
        if reported is not None:
            self._answer.usage = reported
        incomplete = response.get("incomplete_details")
        if isinstance(incomplete, dict):
            reason = incomplete.get("reason")
            self._finish = _STATUS_FINISH.get(reason, "length") if isinstance(reason, str) else "length"

    def _failed(self, response: Any) -> None:
        self._response(response)
        error = response.get("error") if isinstance(response, dict) else None
        self._fail(errors.from_document({"error": error} if error else response))
