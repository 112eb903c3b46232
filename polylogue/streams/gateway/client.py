"""Asks the gateway over HTTP and yields its answer as events; closing the iterator closes the connection."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncGenerator
from typing import Self

import aiohttp
import orjson

from polylogue.streams.gateway import errors, large_json
from polylogue.streams.gateway.catalogue import ModelInfo, read_catalogue
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import GatewayEvent, UpstreamError
from polylogue.streams.gateway.framing import Frame, Framing
from polylogue.streams.gateway.request import ChatRequest
from polylogue.streams.gateway.sse import MIB, ProtocolError

# Larger frames hold pictures: decoding and hashing them would hold up every other answer of this process.
OFF_LOOP_BYTES = 256 * 1024
# What one read may bring: fewer wake-ups for a picture, still far below what stalls the loop.
READ_BUFFER_BYTES = 256 * 1024
ERROR_BODY_BYTES = 64 * 1024
# Below the five seconds after which common servers close: a POST on a closed connection cannot be sent again.
KEEP_ALIVE_SECONDS = 4.0
# Compressed events would wait in the compressor.
_STREAM_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
}
CATALOGUE_BYTES = 32 * MIB

_UNREACHABLE = UpstreamError("connection", "The gateway cannot be reached.", retryable=True)
_NOT_ACCEPTED = UpstreamError("timeout", "The gateway did not accept the connection in time.", retryable=True)
_BROKEN = UpstreamError("connection", "The connection to the gateway broke off.", retryable=True)
_TOO_LONG = UpstreamError("limit", "The gateway sent more in one piece than is allowed.", retryable=False)


class GatewayRefusedError(Exception):
    """The gateway did not answer a question that is no chat; `error` says why."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


class Gateway:
    """Use as an async context manager, or `close` it. One is enough for any number of answers at once."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        connect_timeout_s: float = 10.0,  # also the TLS handshake
        first_byte_timeout_s: float = 180.0,  # some image models send nothing at all until they are done
        idle_timeout_s: float = 120.0,  # comments count as a sign of life
        total_timeout_s: float = 900.0,
        max_media_bytes: int = 100 * MIB,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connect_timeout = connect_timeout_s
        self._first_byte_timeout = first_byte_timeout_s
        self._idle_timeout = idle_timeout_s
        self._total_timeout = total_timeout_s
        self._max_media = max_media_bytes
        self._max_line = max_media_bytes // 3 * 4 + 4 * MIB  # base64, and the JSON around it
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[GatewayEvent]]:
        """Lists of events as the network brings them; the last event is `Finished` or `UpstreamError`.

        Never raises for what the gateway does. Wrap it in `contextlib.aclosing`: leaving it closes the connection,
        and with that stops the model.
        """
        adapter = ChatCompletions(
            audio_format=request.audio.format if request.audio else None, max_media_bytes=self._max_media
        )
        framing = Framing(max_line_bytes=self._max_line, max_body_bytes=2 * self._max_line)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._total_timeout
        first_byte = min(loop.time() + self._first_byte_timeout, deadline)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._ask(request, first_byte)
            if response.status != 200:
                yield adapter.fail(await self._http_error(response, deadline))
                return
            patience = first_byte
            while not adapter.ended:
                # What is there, never lines: aiohttp's fail above 512 KiB.
                async with asyncio.timeout_at(patience):
                    data = await response.content.readany()
                for batch in _small_together(framing.feed(data) if data else framing.end()):
                    events = await _decode(adapter, batch)
                    if events:
                        yield events
                if not data:
                    events = adapter.end()
                    if events:
                        yield events
                    return
                patience = min(loop.time() + self._idle_timeout, deadline)
        except aiohttp.ConnectionTimeoutError:
            yield adapter.fail(_NOT_ACCEPTED)
        except TimeoutError:
            yield adapter.fail(self._timed_out(deadline))
        except ProtocolError:
            yield adapter.fail(_TOO_LONG)
        except aiohttp.ClientConnectorError:
            yield adapter.fail(_UNREACHABLE)
        except (aiohttp.ClientError, OSError):
            yield adapter.fail(_BROKEN)
        finally:
            if response is not None:
                response.close()  # does nothing where the body was read to its end

    async def models(self) -> list[ModelInfo]:
        """What the gateway offers. Raises GatewayRefusedError."""
        deadline = asyncio.get_running_loop().time() + self._first_byte_timeout
        try:
            async with asyncio.timeout_at(deadline):
                async with self._open_session().get(
                    f"{self._base_url}/models", headers=self._headers
                ) as response:
                    if response.status != 200:
                        raise GatewayRefusedError(await self._http_error(response, deadline))
                    body = await _read_capped(response, CATALOGUE_BYTES)
            return read_catalogue(large_json.loads(body))
        except TimeoutError:
            raise GatewayRefusedError(self._timed_out(deadline)) from None
        except (aiohttp.ClientError, OSError):
            raise GatewayRefusedError(_UNREACHABLE) from None
        except ValueError:
            raise GatewayRefusedError(
                UpstreamError("protocol", "The gateway's list of models is not JSON.", retryable=True)
            ) from None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),  # the runner bounds how many answers run at once
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                read_bufsize=READ_BUFFER_BYTES,
            )
        return self._session

    async def _ask(self, request: ChatRequest, first_byte: float) -> aiohttp.ClientResponse:
        # Not followed: a redirected POST becomes a GET, and the key is for this origin only.
        async with asyncio.timeout_at(first_byte):
            return await self._open_session().post(
                f"{self._base_url}/chat/completions",
                data=io.BytesIO(orjson.dumps(request.body())),  # sent in pieces: it may hold pictures
                headers={**self._headers, **_STREAM_HEADERS},
                allow_redirects=False,
            )

    async def _http_error(self, response: aiohttp.ClientResponse, deadline: float) -> UpstreamError:
        soon = asyncio.get_running_loop().time() + self._idle_timeout
        async with asyncio.timeout_at(min(soon, deadline)):
            body = await _read_capped(response, ERROR_BODY_BYTES)
        if response.status < 400:
            message = f"The gateway answered with HTTP {response.status} instead of a stream."
            return UpstreamError("protocol", message, retryable=False)
        return errors.from_http(response.status, response.headers, body, now=time.time())

    def _timed_out(self, deadline: float) -> UpstreamError:
        if asyncio.get_running_loop().time() >= deadline:
            return UpstreamError("timeout", "The model took longer than is allowed in all.", retryable=True)
        return UpstreamError("timeout", "The gateway has gone silent.", retryable=True)


def _small_together(frames: list[Frame]) -> list[list[Frame]]:
    """Each large frame by itself, so that its bytes are handed on before the next are decoded."""
    batches: list[list[Frame]] = []
    for frame in frames:
        if len(frame.data) >= OFF_LOOP_BYTES or not batches or len(batches[-1][0].data) >= OFF_LOOP_BYTES:
            batches.append([])
        batches[-1].append(frame)
    return batches


async def _decode(adapter: ChatCompletions, frames: list[Frame]) -> list[GatewayEvent]:
    if len(frames) == 1 and len(frames[0].data) >= OFF_LOOP_BYTES:
        return await asyncio.to_thread(adapter.feed, frames[0])
    return [event for frame in frames for event in adapter.feed(frame)]


async def _read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) >= limit:
            break
    return bytes(body[:limit])
