"""Image endpoints, streamed with previews or buffered whatever was asked, as a pure state machine."""

from __future__ import annotations

from typing import Any

from polylogue.streams.gateway.answer import Answer
from polylogue.streams.gateway.chat_fields import listed
from polylogue.streams.gateway.events import UpstreamError
from polylogue.streams.gateway.parts import MediaPart, media_part
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.typed_events import TypedEvents
from polylogue.streams.gateway.usage import usage_of

_NO_PICTURE = UpstreamError("upstream", "The model sent no picture.", retryable=True)


class ImageEndpoint(TypedEvents):
    """See `adapter.Adapter`. Previews replace each other and are no result."""

    def __init__(self, *, max_media_bytes: int = 100 * MIB) -> None:
        super().__init__(Answer(max_media_bytes=max_media_bytes))
        self._previewed = False

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        if kind.endswith(".partial_image"):
            self._previewed = True
        elif kind.endswith(".completed"):
            self._previewed = False
            self._finish = "stop"
            self._image(event, event)
            self._usage(event)
        elif "data" in event:  # the whole body, sent as one event
            self._body(event)

    def _body(self, document: dict[str, Any]) -> bool:
        images = document.get("data")
        images = document.get("images") if images is None else images
        if not isinstance(images, list):
            return False
        for image in images:
            self._image(image, document)
        self._usage(document)
        if images:
            self._finish = "stop"
        else:
            self._fail(_NO_PICTURE)
        return bool(images)

    def _is_unfinished(self) -> bool:
        return self._previewed

    def _succeed(self) -> None:
        if self._finish is None:
            self._fail(_NO_PICTURE)
        else:
            super()._succeed()

    def _image(self, image: Any, top: dict[str, Any]) -> None:
        found = media_part(image, "image")
        if found is None:
            return
        declared = found.declared_content_type or _declared(top)
        self._answer.medium(MediaPart("image", found.source, declared), refuse_scraps=True)

    def _usage(self, holder: dict[str, Any]) -> None:
        reported = usage_of(holder, None)
        if reported is not None:
            self._answer.usage = reported


def _declared(top: dict[str, Any]) -> str | None:
    """The type that holds for every picture of the answer, where its own is not said."""
    for name in ("media_type", "mime_type"):
        value = top.get(name)
        if isinstance(value, str) and value:
            return value
    output_format = next((word for word in listed(top.get("output_format")) if isinstance(word, str)), "")
    return f"image/{output_format.lower()}" if output_format else None
