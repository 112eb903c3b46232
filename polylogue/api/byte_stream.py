"""Bytes to one client, which may leave at any time: then nothing more is read for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from polylogue.infra.logs import get_logger
from polylogue.media.reading import BackgroundPieces, ObjectMissingError
from polylogue.media.store import StorageUnavailableError

WRITE_S = 120.0  # a client that takes nothing for so long is gone, whatever its socket says
SLOT_S = 10.0

log = get_logger("polylogue.api")


class Downloads:
    """How many files go out at once; whoever comes when all places are taken waits a while."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def take(self) -> bool:
        try:
            async with asyncio.timeout(SLOT_S):
                return await self._slots.acquire()
        except TimeoutError:
            return False

    def give_back(self) -> None:
        self._slots.release()


class ByteStream(Response):
    """Sends `first` and then the pieces, and gives the place back however this ends.

    A source that fails in the middle cuts the connection, and so does the end of the key that opened it: the client
    sees that the file is not whole.
    """

    def __init__(
        self,
        first: bytes,
        pieces: BackgroundPieces,
        downloads: Downloads,
        *,
        headers: Mapping[str, str],
        status_code: int = 200,
    ) -> None:
        super().__init__(status_code=status_code, headers=dict(headers))
        if "content-length" not in {name.lower() for name in headers}:
            del self.headers["content-length"]
        self._first, self._pieces, self._downloads = first, pieces, downloads

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 (ASGI's signature)
        receive: Receive,
        send: Send,
    ) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send(send))
        try:
            # Also while the client takes nothing, or the storage gives nothing.
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        except TimeoutError:
            return  # nobody is there to be told; the connection goes with the request
        except (ObjectMissingError, StorageUnavailableError) as error:
            log.warning("a download was cut off", error=type(error).__name__)
        finally:
            gone.cancel()
            sending.cancel()
            self._pieces.close()
            self._downloads.give_back()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _write(send, self._first)
        async for piece in self._pieces.rest():
            await _write(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, piece: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
