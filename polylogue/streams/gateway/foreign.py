"""A session for addresses that a gateway names on other origins: public ones only, judged by the address connected to."""

from __future__ import annotations

import ipaddress
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL


class PublicResolver(AbstractResolver):
    """Resolves once, and hands on only what is public: a name cannot change its mind between check and connection."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        public = [address for address in found if is_public(address["host"])]
        if not public:
            raise OSError(f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()


def is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global and not parsed.is_multicast


async def _refuse_private(_: object, __: object, parameters: aiohttp.TraceRequestStartParams) -> None:
    """A literal address never reaches the resolver; over plain HTTP anybody could answer."""
    url = parameters.url
    if url.scheme != "https":
        raise aiohttp.InvalidURL(str(url.origin()), "only https is opened on other origins")
    host = (url.host or "").strip("[]")
    if (host.replace(".", "").isdigit() or ":" in host) and not is_public(host):
        raise aiohttp.InvalidURL(str(url.origin()), "not a public address")


def open_foreign_session(gateway: URL, *, connect_timeout_s: float) -> aiohttp.ClientSession:
    """A gateway that is itself on this machine or in this network may name its neighbours."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
    host = gateway.host or ""
    if host == "localhost" or (host.replace(".", "").isdigit() and not is_public(host)) or host == "::1":
        return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_refuse_private)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=PublicResolver()),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
    )
