"""A turn written to one client in the words of another protocol: what a translation makes of each frame, as SSE."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from polylogue.api.left_early import left_early
from polylogue.api.sse import HEADERS, WRITE_S
from polylogue.api.turn_frames import TurnFrames
from polylogue.schemas.frames import Frame, KeepaliveFrame

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keepalive\n\n"


class Translation(Protocol):
    """From frames to messages; pure. `over` once nothing more is to come."""

    @property
    def over(self) -> bool: ...
    @property
    def refusal(self) -> Response | None:
        """The answer, where nothing was written yet and all that there is to say is a status."""

    def begin(self) -> list[dict[str, Any]]:
        """What is written before the first frame."""

    def take(self, frame: Frame) -> list[dict[str, Any]]: ...
    def cut(self) -> list[dict[str, Any]]:
        """The frames have ended before the turn."""


async def unchanged(frame: Frame) -> Frame:
    return frame


def nothing_held() -> None:
    """For protocols that hold nothing until it is written."""


async def nothing_to_do() -> None:
    """For protocols in which leaving stops nothing."""


class TranslatedStream(Response):
    """`gone` is awaited where the client has left before the end; `seen` may change a frame before it is translated,
    `let_go` is called once what came of it is written or never will be."""

    media_type = "text/event-stream"

    def __init__(
        self,
        turn: TurnFrames,
        translation: Translation,
        *,
        headers: Mapping[str, str],
        gone: Callable[[], Awaitable[None]] = nothing_to_do,
        seen: Callable[[Frame], Awaitable[Frame]] = unchanged,
        let_go: Callable[[], None] = nothing_held,
    ) -> None:
        super().__init__(headers=HEADERS | dict(headers))
        del self.headers["content-length"]
        self._turn, self._translation, self._gone, self._seen = turn, translation, gone, seen
        self._let_go = let_go
        self._left = self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watching = asyncio.create_task(self._until_gone(receive))
        try:
            await self._answer(scope, receive, send)
        except (OSError, TimeoutError):
            self._left = True  # the connection goes with the request
        finally:
            self._let_go()
            watching.cancel()
            if self._left and not self._translation.over:
                await self._gone()
        if self._left and not self._started:
            await left_early(scope)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        translation = self._translation
        await self._write(send, messages(translation.begin()))
        async with aclosing(self._turn.frames()) as frames:
            async for frame in frames:
                if isinstance(frame, KeepaliveFrame):
                    await self._write(send, KEEPALIVE)
                    continue
                made = messages(translation.take(await self._seen(frame)))
                if await self._refused(scope, receive, send):
                    return
                await self._write(send, made)
                self._let_go()
                if translation.over:
                    break
        if self._left:
            return
        if not translation.over:
            made = messages(translation.cut())
            if await self._refused(scope, receive, send):
                return
            await self._write(send, made)
        await self._write(send, DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _refused(self, scope: Scope, receive: Receive, send: Send) -> bool:
        refusal = None if self._started else self._translation.refusal
        if refusal is not None:
            self._started = True
            await refusal(scope, receive, send)
        return refusal is not None

    async def _write(self, send: Send, data: bytes) -> None:
        if not data or self._left:
            return
        async with asyncio.timeout(WRITE_S):
            if not self._started:
                self._started = True
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
            await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._turn.leave()


def messages(told: list[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in told)
