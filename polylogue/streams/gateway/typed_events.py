"""What the adapters for protocols with typed events share: each event is a JSON object that names its own type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from polylogue.streams.gateway import errors, large_json
from polylogue.streams.gateway.answer import Answer
from polylogue.streams.gateway.events import GatewayEvent, UpstreamError
from polylogue.streams.gateway.framing import Frame, JsonBody


class TypedEvents(ABC):
    """See `adapter.Adapter`. A protocol says what an event means and what a whole body does."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._finish: str | None = None  # known as soon as the answer is whole

    @property
    def ended(self) -> bool:
        return self._answer.ended

    @abstractmethod
    def _event(self, kind: str, event: dict[str, Any]) -> None:
        """One event of the stream."""

    @abstractmethod
    def _body(self, document: dict[str, Any]) -> bool:
        """The whole answer as one document; False when it is not what the protocol answers."""

    def _is_unfinished(self) -> bool:
        """Whether a picture was begun, and of it nothing but previews came."""
        return False

    def feed(self, frame: Frame) -> list[GatewayEvent]:
        if self.ended:
            return []
        data = frame.data if len(frame.data) > 32 else frame.data.strip()
        if data == b"[DONE]":
            self._succeed()
            return self._answer.take()
        if data:
            try:
                document = large_json.loads(data, frame.lifted)
            except ValueError:
                self._fail(errors.TRUNCATED if isinstance(frame, JsonBody) else errors.not_json(frame))
            else:
                self._document(frame, document)
        return self._answer.take()

    def end(self) -> list[GatewayEvent]:
        if not self.ended:
            if self._finish is None:
                self._fail(errors.TRUNCATED)
            else:
                self._succeed()
        return self._answer.take()

    def fail(self, error: UpstreamError) -> list[GatewayEvent]:
        if not self.ended:
            self._fail(error)
        return self._answer.take()

    def _document(self, frame: Frame, document: Any) -> None:
        if isinstance(frame, JsonBody):
            if isinstance(document, list) and len(document) == 1:  # so Google wraps an error
                document = document[0]
            if isinstance(document, dict) and errors.is_error(document):
                self._fail(errors.from_document(document))
            elif isinstance(document, dict) and self._body(document):
                self._succeed()
            elif not self.ended:
                self._fail(errors.GARBAGE)
            return
        if not isinstance(document, dict):
            if frame.name == "error":
                self._fail(errors.from_document(document))
            return  # a bare number or list means nothing here
        kind = document.get("type")
        kind = kind if isinstance(kind, str) and kind else frame.name
        self._event(kind, document)
        if not self.ended and (kind == "error" or errors.is_error(document)):
            self._fail(errors.from_document(document))

    def _succeed(self) -> None:
        self._note_unfinished()
        self._answer.succeed(self._finish)

    def _fail(self, error: UpstreamError) -> None:
        if not self.ended:
            self._note_unfinished()
            self._answer.fail(error)

    def _note_unfinished(self) -> None:
        if self._is_unfinished():
            self._answer.note("image_unfinished", "The model began a picture and did not finish it.")
