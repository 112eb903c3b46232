"""HTTP to the gateway: one session, its time limits, and what its failures mean."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import orjson
from yarl import URL

from polylogue.media.addresses import RefusedAddressError, is_public, is_reachable, origin_of, target_of
from polylogue.media.outbound import open_session
from polylogue.streams.gateway import errors
from polylogue.streams.gateway.events import UpstreamError
from polylogue.streams.gateway.sse import ProtocolError

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

UNREACHABLE = UpstreamError("connection", "The gateway cannot be reached.", retryable=True)
_NOT_ACCEPTED = UpstreamError("timeout", "The gateway did not accept the connection in time.", retryable=True)
_BROKEN = UpstreamError("connection", "The connection to the gateway broke off.", retryable=True)
_TOO_LONG = UpstreamError("limit", "The gateway sent more in one piece than is allowed.", retryable=False)
_TOO_SLOW = UpstreamError("timeout", "The model took longer than is allowed in all.", retryable=True)
_SILENT = UpstreamError("timeout", "The gateway has gone silent.", retryable=True)

# What a connection to the gateway may raise; `Transport.failure` says what it means.
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ProtocolError)


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    def __init__(
        self, *, base_url: str, api_key: str | None, connect_timeout_s: float, idle_timeout_s: float
    ) -> None:
        self._base_url = base_url.rstrip("/") + "/"
        self._origin = URL(self._base_url).origin()
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connect_timeout = connect_timeout_s
        self._idle_timeout = idle_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def resolve(self, url: str) -> str | None:
        """The absolute form of a URL that the gateway named; None for what is no web address."""
        try:
            resolved = URL(self._base_url).join(URL(url, encoded=True))
        except ValueError:
            return None
        return str(resolved) if resolved.scheme in ("http", "https") and resolved.host else None

    def is_own(self, url: str) -> bool:
        """Whether it is of the gateway's origin: the only one that may see the key."""
        return URL(url, encoded=True).origin() == self._origin

    async def post(self, path: str, body: Mapping[str, Any], *, until: float) -> aiohttp.ClientResponse:
        # Not followed: a redirected POST becomes a GET, and the key is for this origin only.
        async with asyncio.timeout_at(until):
            return await self._open().post(
                self._base_url + path,
                data=io.BytesIO(orjson.dumps(body)),  # sent in pieces: it may hold pictures
                headers={**self._headers, **_STREAM_HEADERS},
                allow_redirects=False,
            )

    async def get(self, url: str, *, until: float, limit: int) -> Reply:
        """Another origin is asked without the key, and only where it is a public one, or the gateway is a neighbour
        itself."""
        async with asyncio.timeout_at(until):
            if self.is_own(url):
                return await _get(self._open(), url, self._headers, limit)
            try:
                target = target_of(url, {origin_of(url)} if self._is_neighbour else ())
                session = open_session(
                    target, connect_timeout_s=self._connect_timeout, idle_timeout_s=self._idle_timeout
                )
                async with session:
                    return await _get(session, str(target.url), {}, limit)
            except RefusedAddressError as error:
                raise OSError(str(error)) from None

    async def refusal(self, response: aiohttp.ClientResponse, deadline: float) -> UpstreamError:
        """What an answer with another status than expected means."""
        soon = asyncio.get_running_loop().time() + self._idle_timeout
        async with asyncio.timeout_at(min(soon, deadline)):
            body = await read_capped(response, ERROR_BODY_BYTES)
        return refusal_of(Reply(response.status, response.headers, body))

    def failure(self, error: Exception, deadline: float) -> UpstreamError:
        """What one of FAILURES means."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return _NOT_ACCEPTED
        if isinstance(error, TimeoutError):
            return _TOO_SLOW if asyncio.get_running_loop().time() >= deadline else _SILENT
        if isinstance(error, ProtocolError):
            return _TOO_LONG
        return UNREACHABLE if isinstance(error, aiohttp.ClientConnectorError) else _BROKEN

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),  # the runner bounds how many answers run at once
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                read_bufsize=READ_BUFFER_BYTES,
            )
        return self._session

    @property
    def _is_neighbour(self) -> bool:
        """Whether the gateway is on this machine or in this network, by its address."""
        host = self._origin.host or ""
        return host == "localhost" or (is_reachable(host) and not is_public(host))


async def _get(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], limit: int) -> Reply:
    async with session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as response:
        return Reply(response.status, response.headers, await read_capped(response, limit))


def refusal_of(reply: Reply) -> UpstreamError:
    if reply.status < 400:
        message = f"The gateway answered with HTTP {reply.status} instead of a stream."
        return UpstreamError("protocol", message, retryable=False)
    return errors.from_http(reply.status, reply.headers, reply.body, now=time.time())


async def read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) >= limit:
            break
    return bytes(body[:limit])
