"""Tells an SSE body from a JSON body by its first byte, because the Content-Type of gateways cannot be trusted."""

from __future__ import annotations

import msgspec

from polylogue.streams.gateway.lifted import Lifted
from polylogue.streams.gateway.line_ahead import Arriving, Lifting
from polylogue.streams.gateway.sse import MIB, OWN_BUFFER_BYTES, EventTooLongError, SseEvent, SseParser

_BEFORE_THE_BODY = b"\xef\xbb\xbf \t\r\n"  # BOM and the blanks that some gateways send to keep the connection


class JsonBody(msgspec.Struct, frozen=True):
    """The whole answer as one JSON document."""

    data: bytes | bytearray
    lifted: Lifted | None = None  # what was taken out of it

    def __repr__(self) -> str:  # payloads must not reach a log through a traceback
        return f"JsonBody({len(self.data)} bytes)"


Frame = SseEvent | JsonBody


class Framing:
    def __init__(self, *, max_line_bytes: int = 144 * MIB, max_body_bytes: int = 288 * MIB) -> None:
        self._sse = SseParser(max_line_bytes=max_line_bytes, max_event_bytes=max_line_bytes)
        self._max_body = max_body_bytes
        self._json: bytearray | None = None
        self._lifting: Lifting | None = None  # out of the document
        self._begun = False

    def feed(self, data: bytes) -> list[Frame]:
        if not self._begun:
            data = data.lstrip(_BEFORE_THE_BODY)
            if not data:
                return []
            self._begun = True
            if data[:1] in (b"{", b"["):
                self._json = bytearray()
        if self._json is None:
            return list(self._sse.feed(data))
        self._json += data
        lifted = self._lifting.lifted if self._lifting else None
        if len(self._json) + (lifted.missing if lifted else 0) > self._max_body:
            raise EventTooLongError
        return []

    def lift(self) -> Arriving | None:
        """See `SseParser.lift`."""
        if self._json is None:
            return self._sse.lift()
        if self._lifting is None:
            if len(self._json) < OWN_BUFFER_BYTES:
                return None
            self._lifting = Lifting()
        return self._lifting.lift(self._json)

    @property
    def held(self) -> int:
        """Bytes of what is not a frame yet."""
        if self._json is None:
            return self._sse.held
        lifted = self._lifting.lifted if self._lifting else None
        return len(self._json) + (lifted.size_bytes if lifted else 0)

    def end(self) -> list[Frame]:
        if self._json is None:
            return list(self._sse.end())
        return [JsonBody(self._json, self._lifting.lifted if self._lifting else None)]
