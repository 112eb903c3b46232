"""Fetches a medium that a provider keeps under a URL, without being led to where only we can go."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp

from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.addresses import RefusedAddressError, origin_of, origins, target_of
from polylogue.media.outbound import ResolverFactory, asked_wait_s, is_passing, open_session
from polylogue.media.spool import Spool

MIB = 1024 * 1024
MOST_REDIRECTS = 5
WRITE_BYTES = 256 * 1024  # so much is hashed and written in one step off the loop
_REDIRECTS = (301, 302, 303, 307, 308)
_UNKNOWN_HOST = (socket.EAI_NONAME, socket.EAI_NODATA)


class UnfetchableError(Exception):
    """Trying again cannot help; the message is a sentence for the user and names no URL."""


class TooLargeError(Exception):
    """More came than a medium may hold."""


class FetchInterruptedError(Exception):
    """This attempt has failed, and another one may not; the message names no URL."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class FetchLimits:
    max_bytes: int
    total_s: float
    connect_s: float = 10.0  # name, connection and TLS
    first_byte_s: float = 30.0  # from the beginning of a request to its answer's headers
    idle_s: float = 20.0  # between two reads


class MediaFetcher:
    """One medium at a time or many; `progress` is called for every request and whenever bytes have come."""

    def __init__(
        self,
        limits: FetchLimits,
        *,
        allowed: frozenset[str] = frozenset(),
        gateway: str | None = None,
        api_key: str | None = None,
        resolver: ResolverFactory = aiohttp.ThreadedResolver,
        ssl_context: ssl.SSLContext | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`allowed` and `gateway` are origins that the operator has named."""
        self._limits = limits
        self._allowed = allowed
        self._gateway = gateway
        self._api_key = api_key
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._progress = progress

    @classmethod
    def from_settings(
        cls, settings: Settings, *, progress: Callable[[], None] = lambda: None
    ) -> MediaFetcher:
        """Raises SettingsError."""
        key = settings.openrouter_api_key
        try:
            allowed = origins(settings.media_fetch_allow)
        except ValueError:
            raise SettingsError(
                "MEDIA_FETCH_ALLOW is no list of origins such as http://127.0.0.1:8089, with commas between them."
            ) from None
        return cls(
            FetchLimits(settings.media_max_size_mb * MIB, settings.media_fetch_timeout_s),
            allowed=allowed,
            gateway=origin_of(str(settings.openrouter_base_url)),
            api_key=key.get_secret_value() if key else None,
            progress=progress,
        )

    async def fetch(self, url: str, *, needs_key: bool = False) -> Spool:
        """One attempt: the whole file, which the caller closes. Raises UnfetchableError, TooLargeError or FetchInterruptedError.

        No error of the libraries gets out of here: they carry the URL, which may be signed.
        """
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._follow(url, needs_key)
        except RefusedAddressError as error:
            raise UnfetchableError(f"The file cannot be fetched: {error}.") from None
        except aiohttp.ClientConnectorCertificateError:
            raise UnfetchableError("The server of the file has no valid certificate.") from None
        except aiohttp.InvalidURL:
            raise UnfetchableError("The address of the file is malformed.") from None
        except aiohttp.ClientConnectorDNSError as error:
            if error.os_error.errno in _UNKNOWN_HOST:
                raise UnfetchableError("The server of the file does not exist.") from None
            raise FetchInterruptedError("the name was not resolved") from None
        except TimeoutError:
            raise FetchInterruptedError("the file did not come in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise FetchInterruptedError(f"the transfer failed: {type(error).__name__}") from None

    async def _follow(self, url: str, needs_key: bool) -> Spool:
        for _ in range(MOST_REDIRECTS + 1):
            self._progress()
            # Once the way has left the gateway, the key stays here, even if it leads back.
            needs_key = needs_key and self._is_gateways(url)
            own = {self._gateway} if needs_key and self._gateway else set[str]()
            target = target_of(url, self._allowed | own)
            async with open_session(
                target,
                connect_timeout_s=self._limits.connect_s,
                idle_timeout_s=self._limits.idle_s,
                resolver=self._resolver,
                ssl_context=self._ssl_context,
            ) as session:
                headers = {"Accept-Encoding": "identity", "Accept": "image/*, audio/*, video/*, */*;q=0.1"}
                if needs_key and self._api_key:
                    headers["Authorization"] = f"Bearer {self._api_key}"
                async with asyncio.timeout(self._limits.first_byte_s):
                    response = await session.get(target.url, headers=headers, allow_redirects=False)
                async with response:
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTS or location is None:
                        return await self._read(response)
                    url = _joined(str(target.url), location)
        raise UnfetchableError("The address of the file is redirected too often.")

    def _is_gateways(self, url: str) -> bool:
        with suppress(ValueError):
            return origin_of(url) == self._gateway
        return False

    async def _read(self, response: aiohttp.ClientResponse) -> Spool:
        if is_passing(response.status):
            wait_s = asked_wait_s(response.headers.get("Retry-After"), time.time())
            raise FetchInterruptedError(f"the server answered {response.status}", wait_s)
        if response.status != 200:
            raise UnfetchableError(f"The server of the file answered with HTTP {response.status}.")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnfetchableError("The server of the file sent it in a form that was not asked for.")
        if (response.content_length or 0) > self._limits.max_bytes:
            raise TooLargeError
        spool = Spool()
        try:
            return await self._spool(response, spool)
        except BaseException:
            spool.close()
            raise

    async def _spool(self, response: aiohttp.ClientResponse, spool: Spool) -> Spool:
        size_bytes, waiting = 0, bytearray()
        async for piece in response.content.iter_any():
            self._progress()
            size_bytes += len(piece)
            if size_bytes > self._limits.max_bytes:  # whatever Content-Length said
                raise TooLargeError
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(spool.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(spool.write, bytes(waiting))
        return spool


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        raise UnfetchableError("The address of the file is redirected to a malformed one.") from None
