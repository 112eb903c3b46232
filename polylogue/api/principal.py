"""Who asks: a Principal on every route that reads or writes what is somebody's, put there by the guard."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from polylogue.api.errors import ApiError

ALL_SCOPES = frozenset({"read", "write", "admin", "metrics"})
SCOPE_KEY = "polylogue.principal"  # in the ASGI scope of a request that the guard has let through


@dataclass(frozen=True)
class Principal:
    owner: str
    scopes: frozenset[str]
    credential: str = ""  # what it stands on (`key:…`, `session:…`); nothing where there is no sign-in


LOCAL = Principal("local", ALL_SCOPES)


async def principal(request: Request) -> Principal:
    """Every route that is not public depends on this. Raises ApiError 401."""
    found: Principal | None = request.scope.get(SCOPE_KEY)
    if found is None:
        raise not_signed_in()
    return found


Asking = Annotated[Principal, Depends(principal)]


def not_signed_in() -> ApiError:
    return ApiError(401, "not_signed_in", "Sign in, or send an API key as `Authorization: Bearer …`.")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
