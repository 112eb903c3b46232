"""HTTP to a host that somebody named: resolved once, every address judged, and connected to one of those judged."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from socket import AF_INET, AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from polylogue.media.addresses import RefusedAddressError, Target

ResolverFactory = Callable[[], AbstractResolver]


class JudgingResolver(AbstractResolver):
    """The connector connects to what this returns, so a name cannot change its mind after it was judged.

    Raises RefusedAddressError where one address is refused: a name that mixes them is up to something.
    """

    def __init__(self, target: Target, inner: AbstractResolver) -> None:
        self._target = target
        self._inner = inner

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not found or not all(self._target.admits(entry["host"]) for entry in found):
            raise RefusedAddressError("the address is not a public one")
        return found

    async def close(self) -> None:
        await self._inner.close()


def open_session(
    target: Target,
    *,
    connect_timeout_s: float,
    idle_timeout_s: float,
    resolver: ResolverFactory = aiohttp.ThreadedResolver,
    ssl_context: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """A session for requests to this target only, without redirects, cookies, proxies or compression.

    A literal address never reaches the resolver; `target_of` has judged it. TLS checks the name of the URL.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=JudgingResolver(target, resolver()),
            use_dns_cache=False,
            force_close=True,
            ssl=ssl_context or True,
        ),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_s, sock_read=idle_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def asked_wait_s(retry_after: str | None, now_s: float) -> float | None:
    """What a Retry-After header asks for, in seconds or as a date; None where it says nothing that can be read."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def is_passing(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in (408, 425, 429) or status >= 500
