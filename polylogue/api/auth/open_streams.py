"""Streams that are open, by what opened them: closed within seconds once that opens nothing any more.

A stream ends as if its reader had left, without a frame of its own: every frame carries a cursor, so that a reader with
another key goes on after the last one that it got, and one without is told 401.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

import psycopg
import psycopg_pool
from starlette.types import Message, Receive

from polylogue.infra.logs import get_logger

LOOK_EVERY_S = 2.0  # of the five within which a revoked key is dead everywhere
ANSWER_S = 2.0
OPEN_STREAM = "polylogue.open_stream"  # in the ASGI scope of a request that a key or session opened

log = get_logger("polylogue.api.auth")

Working = Callable[[Collection[str]], Awaitable[set[str]]]


class OpenStream:
    """One of them: `receive` tells its route that the reader has left, as soon as the reader must.

    Whoever has the stream without its route asks to be told `on_end` instead.
    """

    __slots__ = ("_ended", "_tell", "credential")

    def __init__(self, credential: str) -> None:
        self.credential = credential
        self._ended = False
        self._tell: Callable[[], Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether what opened it opens nothing any more."""
        return self._ended

    def end(self) -> None:
        self._ended = True
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def on_end(self, tell: Callable[[], Any]) -> None:
        """At once where it has ended already."""
        self._tell = tell
        if self._ended:
            self.end()

    def receiving(self, receive: Receive) -> Receive:
        coming: asyncio.Future[Message] | None = None
        ended: asyncio.Future[None] | None = None

        async def until_ended() -> Message:
            nonlocal coming, ended
            if self._ended:
                return {"type": "http.disconnect"}
            if ended is None:
                ended = asyncio.get_running_loop().create_future()
                self.on_end(partial(ended.set_result, None))
            coming = coming or asyncio.ensure_future(receive())
            try:
                either: tuple[asyncio.Future[Any], ...] = (coming, ended)
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                coming.cancel()
                raise
            if coming.done():
                message, coming = coming.result(), None
                return message
            coming.cancel()
            return {"type": "http.disconnect"}

        return until_ended


class OpenStreams:
    def __init__(self, working: Working) -> None:
        self._working = working
        self._open: defaultdict[str, set[OpenStream]] = defaultdict(set)

    def add(self, credential: str) -> OpenStream:
        stream = OpenStream(credential)
        self._open[credential].add(stream)
        return stream

    def remove(self, stream: OpenStream) -> None:
        streams = self._open[stream.credential]
        streams.discard(stream)
        if not streams:
            del self._open[stream.credential]

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Ends the streams of whatever opens nothing any more.

        While the database does not answer nobody can be told apart, and streams stay open.
        """
        asked = list(self._open)
        if not asked:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                working = await self._working(asked)
        except (psycopg.Error, psycopg_pool.PoolTimeout, TimeoutError) as error:
            log.warning("open streams could not be checked", error=type(error).__name__)
            return
        for credential in set(asked) - working:
            for stream in tuple(self._open.get(credential, ())):
                stream.end()
