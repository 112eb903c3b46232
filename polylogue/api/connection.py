"""A connection of the HTTP server whose socket a stream may have for itself, past the layers between."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTION = "polylogue.connection"  # in the ASGI scope of every request on it


class Heir(asyncio.Protocol):
    """Who has the socket from now on; the server asks it for nothing but this."""

    __slots__ = ()

    def shutdown(self) -> None:
        """The server stops; whoever writes to the socket says when that ends."""


class Connection(HttpToolsProtocol):
    """uvicorn's own, with a name in the scope, and with a socket that can be given away."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # uvicorn's is a closed TypedDict
        scope[CONNECTION] = self

    def hand_over(self, heir: Heir) -> asyncio.Transport | None:
        """The socket is the heir's, who is paused by whatever does not fit into it; None where the peer has gone.

        To the server the request looks as if its reader had left. Nothing that belongs to it is held any longer: an
        open stream would keep many times what it needs itself.
        """
        transport, scope, cycle = self.transport, self.scope, self.cycle
        cycle.disconnected = True
        if transport.is_closing():
            return None
        self.flow.resume_reading()
        connections: set[Any] = self.connections
        connections.discard(self)
        connections.add(heir)
        transport.set_protocol(heir)
        transport.set_write_buffer_limits(high=0)
        cycle.message_event.set()
        # They point at this one, which points at them.
        del scope[CONNECTION]  # type: ignore[misc] # as above
        self.parser = self.scope = self.cycle = None  # type: ignore[assignment] # as uvicorn does when it is lost
        return transport

    @property
    def begun(self) -> bool:
        """Whether the head of the answer has gone out, so that a body may follow."""
        return bool(self.cycle is not None and self.cycle.response_started)
