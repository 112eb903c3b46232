"""Talks to the API over HTTP and follows a turn to its end, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp
import msgspec

from polylogue import __version__
from polylogue.client.backoff import Backoff
from polylogue.client.errors import ApiError, ClientError, ConnectionLostError, UnreachableError
from polylogue.client.lines import DataLines
from polylogue.schemas import frames

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 30  # until the headers, and for plain requests
# The API sends a comment or a keepalive several times in this time: a connection that is quiet for longer is dead.
QUIET_TIMEOUT_S = 60
DOWNLOAD_PIECE = 256 * 1024
TOO_MANY = "too_many_requests"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_Open = Callable[[], AbstractAsyncContextManager[aiohttp.ClientResponse]]


@dataclass(frozen=True)
class Received:
    """One frame as it came; `frame` is None for a type that this version does not know."""

    raw: bytes
    frame: frames.Frame | None


@dataclass
class _Place:
    """Where a stream stands: all that is needed to go on after it dropped."""

    conversation_id: str | None = None
    turn_id: str | None = None
    after: str | None = None
    complete: bool = False

    def note(self, frame: frames.Frame | None) -> None:
        if not isinstance(frame, frames.PlacedFrame):
            return
        self.conversation_id = frame.conversation_id
        self.turn_id = self.turn_id or frame.turn_id
        self.after = frame.resume_from if isinstance(frame, frames.GapFrame) else frame.id
        self.complete = isinstance(frame, frames.CompleteFrame)


class PolylogueClient:
    """One connection pool to one API. Use it as an async context manager."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        patience_s: float | None = None,
        on_drop: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_drop` is told, once an outage, why a stream has dropped; it is resumed all the same.

        The API key goes to the API alone, and never to where its media are.
        """
        self._on_drop = on_drop
        self.url = url.rstrip("/")
        self._key = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=QUIET_TIMEOUT_S
            ),
            headers={"User-Agent": f"polylogue/{__version__}"},
            # A proxy of the environment is for other machines.
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def submit(
        self,
        prompt: str,
        models: Sequence[str],
        *,
        conversation_id: str | None = None,
        system: str | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncIterator[Received]:
        """Sends the prompt and yields every frame up to `complete`. Raises ClientError.

        The key makes it safe to send again what may or may not have arrived; it is made here where none is given.
        """
        body: dict[str, Any] = {"input_data": prompt, "models": list(models)}
        if conversation_id is not None:
            body["conversation_id"] = conversation_id
        if system is not None:
            body["system"] = system
        headers = self._key | {
            "Idempotency-Key": idempotency_key or uuid4().hex,
            "Accept": "text/event-stream",
        }
        session = self._opened()

        def send() -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
            return session.post(f"{self.url}/api/v1/compare-stream", json=body, headers=headers)

        place = _Place(conversation_id=conversation_id)
        async for received in self._resumed(place, send):
            yield received
            if place.complete:
                return

    async def follow(
        self, conversation_id: str, *, turn_id: str | None = None, after: str | None = None
    ) -> AsyncIterator[Received]:
        """Yields the frames of a turn to its end or, without a turn, of the conversation for ever. Raises ClientError."""
        place = _Place(conversation_id=conversation_id, turn_id=turn_id, after=after)
        async for received in self._resumed(place, None, one_turn=turn_id is not None):
            yield received

    async def cancel(self, conversation_id: str) -> None:
        """Stops every model of the running turn; what they said stays. Raises ClientError."""
        await self._json("POST", f"/api/v1/conversations/{quote(conversation_id, safe='')}/cancel", body={})

    async def conversation(self, conversation_id: str) -> dict[str, Any]:
        """The stored conversation. Raises ClientError."""
        answer: dict[str, Any] = await self._json(
            "GET", f"/api/v1/conversations/{quote(conversation_id, safe='')}"
        )
        return answer

    async def download(self, url: str, target: Path) -> int:
        """Stores what is at `url`, whole or not at all; returns the number of bytes. Raises ClientError."""
        part = target.with_name(f".{target.name}.part")
        size = 0
        try:
            ours = url.startswith(f"{self.url}/")
            async with self._opened().get(url, headers=self._key if ours else None) as response:
                if response.status != 200:
                    raise ApiError(response.status, "download", f"The server answered {response.status}.")
                with part.open("wb") as file:
                    async for piece in response.content.iter_chunked(DOWNLOAD_PIECE):
                        size += len(piece)
                        file.write(piece)
            part.replace(target)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClientError(f"The download stopped: {_why(error)}.") from error
        finally:
            part.unlink(missing_ok=True)
        return size

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ClientError("The client is not open; use it as an async context manager.")
        return self._session

    async def _json(self, method: str, path: str, *, body: Any = None) -> Any:
        try:
            async with self._opened().request(
                method,
                self.url + path,
                json=body,
                headers=self._key,
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
            ) as response:
                if response.status >= 400:
                    raise await _refusal(response)
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(f"Nobody answers at {self.url}: {_why(error)}.") from error
        return msgspec.json.decode(raw) if raw else None

    async def _resumed(
        self, place: _Place, send: _Open | None, *, one_turn: bool = True
    ) -> AsyncIterator[Received]:
        """Opens the stream, and again from the last id whenever it drops."""
        backoff = Backoff() if self._patience_s is None else Backoff(patience_s=self._patience_s)
        ever_connected = False
        while True:
            at_least_s = 0.0
            opener = self._reader(place) if place.after is not None or send is None else send
            try:
                async with opener() as response:
                    ever_connected = True
                    if response.status == 204:
                        return
                    if response.status in {429, 503}:
                        refused = await _refusal(response)
                        if response.status == 429 and refused.code != TOO_MANY:
                            raise refused  # a quota, which is not waited for
                        at_least_s = _retry_after_s(response)
                        reason = str(refused)
                    elif response.status != 200:
                        raise await _refusal(response)
                    else:
                        async for received in _frames(response):
                            if isinstance(received.frame, frames.PlacedFrame):
                                backoff.reset()
                            place.note(received.frame)
                            yield received
                        if one_turn and place.complete:
                            return
                        reason = "the stream ended early"
            except (aiohttp.ClientError, TimeoutError) as error:
                if not ever_connected:
                    raise UnreachableError(f"Nobody answers at {self.url}: {_why(error)}.") from error
                reason = _why(error)
            if backoff.fresh:
                self._on_drop(reason.rstrip("."))
            wait_s = backoff.next(at_least_s)
            if wait_s is None:
                raise ConnectionLostError(
                    f"The connection to {self.url} could not be resumed: {reason.rstrip('.')}."
                )
            await asyncio.sleep(wait_s)

    def _reader(self, place: _Place) -> _Open:
        session = self._opened()
        address = f"{self.url}/api/v1/compare-stream/{quote(place.conversation_id or '', safe='')}"
        parameters = {"turn": place.turn_id, "after": place.after}
        given = {name: value for name, value in parameters.items() if value is not None}
        headers = self._key | {"Accept": "text/event-stream"}
        return lambda: session.get(address, params=given, headers=headers)


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[Received]:
    lines = DataLines()
    async for piece in response.content.iter_any():
        try:
            found = lines.feed(piece)
            received = [Received(raw, frames.decode_frame(raw)) for raw in found]
        except (ValueError, msgspec.MsgspecError) as error:
            raise ClientError(f"The API sent what is no frame: {error}.") from error
        for one in received:
            yield one


async def _refusal(response: aiohttp.ClientResponse) -> ApiError:
    try:
        body = json.loads(await response.read())
        detail, code = str(body["detail"]), str(body.get("code", "error"))
    except (ValueError, KeyError, TypeError, AttributeError):
        # A proxy's page, or another server altogether.
        detail, code = (
            f"The server answered {response.status} {response.reason or ''}".rstrip() + ".",
            "error",
        )
    return ApiError(response.status, code, detail)


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", "0")), 0.0), 30.0)
    except ValueError:
        return 0.0


def _why(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            refused = isinstance(error.os_error, ConnectionRefusedError)
            return "the connection is refused" if refused else str(error.strerror or error.os_error)
        case TimeoutError():
            return "it took too long"
        case _:
            return str(error).rstrip(".") or type(error).__name__
