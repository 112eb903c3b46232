"""Which pages and names may be used to ask: Host on this machine alone, Origin on what changes something. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from polylogue.api.principal import is_loopback

READS = frozenset({"GET", "HEAD", "OPTIONS"})
Refusal = tuple[str, str]
_DEFAULT_PORTS = {"http": 80, "https": 443}

FOREIGN_HOST: Refusal = ("foreign_host", "This server answers only to the names of the machine it runs on.")
FOREIGN_ORIGIN: Refusal = ("foreign_origin", "This server takes no requests from pages of other sites.")


def allowed_origins(listed: str) -> frozenset[str]:
    """CORS_ORIGINS as browsers write origins: in lower case, without the port that goes without saying."""
    return frozenset(_normal(one.strip()) for one in listed.split(",") if one.strip())


def host_named(host: str) -> str:
    """The name or address in a Host header; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def refusal_without_sign_in(
    method: str, host: str, origin: str | None, allowed: frozenset[str]
) -> Refusal | None:
    """Where everybody who gets here may do everything: no other name (DNS rebinding), no other page's writes."""
    if not is_loopback(host_named(host)):
        return FOREIGN_HOST
    if method in READS or origin is None or origin.lower() == f"http://{host}".lower():
        return None
    return None if _normal(origin) in allowed else FOREIGN_ORIGIN


def refusal_with_cookie(
    method: str, host: str, origin: str | None, allowed: frozenset[str]
) -> Refusal | None:
    """A browser sends the cookie by itself, and says with every write which page it is from."""
    if method in READS:
        return None
    if origin is None or origin == "null":
        return FOREIGN_ORIGIN
    return None if same_host(origin, host) or _normal(origin) in allowed else FOREIGN_ORIGIN


def same_host(origin: str, host: str) -> bool:
    """Whatever its scheme: before a proxy that ends TLS, a server knows its name and not how it was asked."""
    try:
        parts = urlsplit(origin)
        asked = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(parts.scheme)
        return (
            default is not None
            and bool(parts.hostname)
            and parts.hostname == asked.hostname
            and (parts.port or default) == (asked.port or default)
        )
    except ValueError:
        return False


def _normal(origin: str) -> str:
    origin = origin.lower()
    for scheme, port in _DEFAULT_PORTS.items():
        if origin.startswith(f"{scheme}://"):
            return origin.removesuffix(f":{port}")
    return origin
