"""The answer that comes at once: all of a turn is read before anything is written; leaving stops the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from polylogue.api.left_early import left_early
from polylogue.api.openai.completion import Whole
from polylogue.api.translated_stream import nothing_held
from polylogue.api.turn_frames import TurnFrames
from polylogue.schemas.frames import Frame


class WholeAnswer(Response):
    media_type = "application/json"

    def __init__(
        self,
        turn: TurnFrames,
        completion: Whole,
        *,
        headers: Mapping[str, str],
        gone: Callable[[], Awaitable[None]],
        seen: Callable[[Frame], Awaitable[Frame]],
        let_go: Callable[[], None] = nothing_held,
    ) -> None:
        super().__init__(headers=dict(headers))
        self._told = dict(headers)
        self._turn, self._completion, self._gone, self._seen = turn, completion, gone, seen
        self._let_go = let_go
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            self._let_go()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        watching = asyncio.create_task(self._until_gone(receive))
        try:
            async with aclosing(self._turn.frames()) as frames:
                async for frame in frames:
                    self._completion.take(await self._seen(frame))
                    if self._completion.over:
                        break
        finally:
            watching.cancel()
            if self._left and not self._completion.over:
                await self._gone()
        if self._left:
            response: Response = left_early(scope)
        else:
            response = self._completion.refusal or JSONResponse(self._completion.body())
            response.headers.update(self._told)
        await response(scope, receive, send)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._turn.leave()
