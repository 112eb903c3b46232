"""Who asks: a Principal on every route. In local mode that is `local` with all scopes, on loopback names only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from polylogue.api.errors import answer

ALL_SCOPES = frozenset({"read", "write", "admin"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Principal:
    owner: str
    scopes: frozenset[str]


LOCAL = Principal("local", ALL_SCOPES)


async def principal() -> Principal:
    """Every route depends on this."""
    return LOCAL


Asking = Annotated[Principal, Depends(principal)]


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackGuard:
    """Refuses foreign Host names (DNS rebinding) and, on writes, foreign Origins (forged requests from other sites)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := _refusal(scope["method"], Headers(scope=scope))):
            await answer(403, *refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refusal(method: str, headers: Headers) -> tuple[str, str] | None:
    host = headers.get("host", "")
    try:
        named = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        named = ""
    if not is_loopback(named):
        return "foreign_host", "This server answers only to the names of the machine it runs on."
    origin = headers.get("origin")
    if origin is not None and method not in _READS and origin.lower() != f"http://{host}".lower():
        return "foreign_origin", "This server takes no requests from pages of other sites."
    return None
