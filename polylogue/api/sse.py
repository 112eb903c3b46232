"""Server-sent events on the wire: one subscription written to one client, which may leave at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from polylogue.api.metrics import Metrics
from polylogue.api.subscription import Subscription

WRITE_S = 60.0  # a client that takes nothing for so long is gone, whatever its socket says
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Sends the chunks of a prepared subscription, and leaves it however this ends."""

    media_type = "text/event-stream"

    def __init__(
        self,
        subscription: Subscription,
        metrics: Metrics,
        *,
        headers: Mapping[str, str] | None = None,
        preamble: bytes = b"",
        status_code: int = 200,  # FastAPI reads the default here for its OpenAPI document
    ) -> None:
        super().__init__(status_code=status_code, headers=HEADERS | dict(headers or {}))
        del self.headers["content-length"]
        self._subscription, self._metrics, self._preamble = subscription, metrics, preamble

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 (ASGI's signature)
        receive: Receive,
        send: Send,
    ) -> None:
        gone = asyncio.create_task(self._until_gone(receive))
        try:
            with self._subscription, self._metrics.subscribers.track_inprogress():
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                if self._preamble:
                    await _write(send, self._preamble)
                async for chunk in self._subscription.chunks():
                    await _write(send, chunk)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (OSError, TimeoutError):
            return  # nobody is there to be told; the connection goes with the request
        finally:
            gone.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.leave()


async def _write(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
