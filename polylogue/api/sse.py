"""Server-sent events on the wire: one subscription written to one client, which may leave at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from polylogue.api.auth.open_streams import OPEN_STREAM, OpenStream
from polylogue.api.connection import CONNECTION, Connection
from polylogue.api.ending import Ending, ending
from polylogue.api.live_stream import LiveStream
from polylogue.api.metrics import Metrics
from polylogue.api.owner_reading import OwnerReading
from polylogue.api.subscription import Subscription

WRITE_S = 60.0  # a client that takes nothing for so long is gone, whatever its socket says
# The end of a stream is the end of its connection: what would be left of it is not worth a reader's while.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Sends the chunks of a prepared subscription, and leaves it however this ends."""

    media_type = "text/event-stream"

    def __init__(
        self,
        subscription: Subscription | OwnerReading,
        metrics: Metrics,
        *,
        headers: Mapping[str, str] | None = None,
        preamble: bytes = b"",
        status_code: int = 200,  # FastAPI reads the default here for its OpenAPI document
    ) -> None:
        super().__init__(
            status_code=status_code, headers=HEADERS | {"Connection": "close"} | dict(headers or {})
        )
        del self.headers["content-length"]
        self._subscription, self._metrics, self._preamble = subscription, metrics, preamble

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection | None = scope.get(CONNECTION)
        with ending(scope) as end:
            end.enter(self._subscription)
            self._metrics.subscribers.inc()
            end.add(self._metrics.subscribers.dec)
            try:
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                if connection is not None and connection.begun:
                    self._live(connection, end, scope.get(OPEN_STREAM))
                else:
                    await self._pulled(receive, send)
            except (OSError, TimeoutError):
                return  # nobody is there to be told; the connection goes with the request

    def _live(self, connection: Connection, end: Ending, opened: OpenStream | None) -> None:
        """The tail writes to the socket, and the request is over: an open stream has no task."""
        stream = LiveStream(self._subscription, self._subscription.live, end)
        if stream.start(connection, self._preamble) and opened is not None:
            opened.on_end(stream.end)

    async def _pulled(self, receive: Receive, send: Send) -> None:
        """For servers that show no socket."""
        gone = asyncio.create_task(self._until_gone(receive))
        try:
            await _write(send, self._preamble)
            async for chunk in self._subscription.chunks():
                await _write(send, chunk)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.leave()


async def _write(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
