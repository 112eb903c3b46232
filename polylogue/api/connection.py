"""A connection of the HTTP server whose socket a stream may write to itself, past the layers between."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTION = "polylogue.connection"  # in the ASGI scope of every request on it


class Writer(Protocol):
    """Who writes to the connection's socket; told what becomes of it."""

    def paused(self) -> None: ...
    def resumed(self) -> None: ...
    def lost(self) -> None: ...


class Connection(HttpToolsProtocol):
    """uvicorn's own, with a name in the scope and an ear for the socket."""

    writer: Writer | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # uvicorn's is a closed TypedDict
        scope[CONNECTION] = self

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.writer is not None:
            self.writer.paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.writer is not None:
            self.writer.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        # Before the socket is closed: its number may be another connection's a moment later.
        if self.writer is not None:
            self.writer.lost()
            self.writer = None
        super().connection_lost(exc)

    def taken(self, writer: Writer) -> asyncio.Transport:
        """From now on everything that does not fit into the socket pauses `writer` at once."""
        self.transport.set_write_buffer_limits(high=0)
        self.writer = writer
        return self.transport

    @property
    def begun(self) -> bool:
        """Whether the head of the answer has gone out, so that a body may follow."""
        return bool(self.cycle is not None and self.cycle.response_started)
