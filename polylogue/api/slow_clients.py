"""Ends connections that do not get on: headers that never end or are too long, and bodies that come drop by drop."""

from __future__ import annotations

import asyncio
from typing import Any

from polylogue.api.connection import Connection, Heir
from polylogue.infra.settings import Settings

MOST_HEADER_BYTES = 64 * 1024
LEAST_BYTES_PER_S = 1024  # of a body, over all of its time but the first
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Impatient(Connection):
    """One timer a connection, and only while it owes something: none runs while a stream is open."""

    header_timeout_s: float
    body_timeout_s: float

    _timer: asyncio.TimerHandle | None = None
    _in_headers = True
    _header_bytes = 0
    _body_bytes = 0
    _body_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
            if self._timer is None:  # the first bytes of a further request on this connection
                self._wait_for_headers()
        super().data_received(data)
        # A body may have begun in these bytes: only what is left without its headers' end is too long.
        if self._in_headers and self._header_bytes > MOST_HEADER_BYTES:
            self._end(_TOO_LONG)

    def on_headers_complete(self) -> None:
        self._stop()
        self._in_headers, self._header_bytes = False, 0
        super().on_headers_complete()
        self._body_bytes, self._body_since = 0, self.loop.time()
        self._timer = self.loop.call_later(self.body_timeout_s, self._look_at_body)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop()
        self._in_headers = True
        super().on_message_complete()

    def hand_over(self, heir: Heir) -> asyncio.Transport | None:
        self._stop()
        return super().hand_over(heir)

    def _wait_for_headers(self) -> None:
        self._timer = self.loop.call_later(self.header_timeout_s, self._end, _TOO_SLOW)

    def _look_at_body(self) -> None:
        """A body that the application does not read yet is not its sender's fault."""
        took_s = self.loop.time() - self._body_since
        if not self.flow.read_paused and self._body_bytes < LEAST_BYTES_PER_S * took_s:
            self._end(b"")
            return
        self._timer = self.loop.call_later(self.body_timeout_s, self._look_at_body)

    def _end(self, words: bytes) -> None:
        self._stop()
        if self.transport.is_closing():
            return
        if words and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(words)
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def impatient(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of uvicorn with the time-outs of the settings."""
    own: dict[str, Any] = {
        "header_timeout_s": settings.request_header_timeout_s,
        "body_timeout_s": settings.request_body_timeout_s,
    }
    return type("Impatient", (_Impatient,), own)
