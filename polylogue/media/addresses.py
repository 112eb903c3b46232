"""Which URLs and which addresses may be opened when somebody else has named them; pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")

# Beside what Python's own tables know, which differ between its patch releases.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
# Teredo and its neighbours, documentation, 6to4 (carries an IPv4 address), documentation again.
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_PRIVATE_6 = IPv6Network("fc00::/7")


class RefusedAddressError(Exception):
    """Something that must not be opened; the message is a clause without a full stop and names no URL."""


@dataclass(frozen=True)
class Target:
    """A URL that may be opened, at such addresses as `admits` says."""

    url: URL
    host: str  # lower case, without the last dot of a full name
    trusted: bool  # the operator has named it

    def admits(self, address: str) -> bool:
        return is_reachable(address) if self.trusted else is_public(address)


def target_of(url: str, trusted_origins: Collection[str] = ()) -> Target:
    """Judges a URL before anything is resolved. Raises RefusedAddressError.

    An origin that the operator trusts may be plain HTTP and may lie on this machine or in this network; any other one
    is HTTPS on a public address.
    """
    if _UNSAFE.search(url):
        raise RefusedAddressError("the address is malformed")
    try:
        # What is encoded already stays as it is: a signature may cover it.
        parsed = URL(url, encoded=url.isascii())
        port = parsed.port
    except ValueError:
        raise RefusedAddressError("the address is malformed") from None
    if parsed.scheme not in ("http", "https") or not port:
        raise RefusedAddressError("the address is no web address")
    if "@" in parsed.raw_authority:
        raise RefusedAddressError("the address holds a user name")
    host = (parsed.raw_host or "").lower()
    literal = _literal(host)
    if literal is None and not _is_name(host):
        raise RefusedAddressError("the address names no host that can be used")
    target = Target(
        url=parsed.with_fragment(None),
        host=str(literal) if literal else host.removesuffix("."),
        trusted=origin_of(parsed) in trusted_origins,
    )
    if parsed.scheme != "https" and not target.trusted:
        raise RefusedAddressError("the address is not https")
    if literal is not None and not target.admits(host):
        raise RefusedAddressError("the address is not a public one")
    return target


def origin_of(url: URL | str) -> str:
    """scheme://host:port in lower case, the port always there. Raises ValueError for what has none."""
    parsed = URL(url, encoded=True) if isinstance(url, str) else url
    if not parsed.raw_host or not parsed.port:
        raise ValueError("no origin")
    host = parsed.raw_host.lower().removesuffix(".")
    return f"{parsed.scheme.lower()}://{f'[{host}]' if ':' in host else host}:{parsed.port}"


def origins(text: str) -> frozenset[str]:
    """The origins of a list with commas. Raises ValueError for what has none."""
    return frozenset(origin_of(entry.strip()) for entry in text.split(",") if entry.strip())


def is_public(address: str) -> bool:
    """Whether anybody on the internet could be asked there; nothing that is wrapped into IPv6 counts."""
    parsed = _literal(address)
    if isinstance(parsed, IPv4Address):
        special = any(parsed in network for network in _NOT_PUBLIC_4)
        return parsed.is_global and not parsed.is_multicast and not special
    if isinstance(parsed, IPv6Address):
        special = any(parsed in network for network in _NOT_PUBLIC_6)
        return parsed.is_global and parsed in _UNICAST_6 and not special
    return False


def is_reachable(address: str) -> bool:
    """Whether a host that the operator has named may lie there: also loopback and private networks, but never
    link-local addresses, where clouds keep their credentials."""
    if is_public(address):
        return True
    parsed = _literal(address)
    if isinstance(parsed, IPv4Address):
        odd = parsed.is_link_local or parsed.is_multicast or parsed.is_reserved
        return not odd and parsed not in _NOT_PUBLIC_4[0]
    return parsed is not None and (parsed.is_loopback or parsed in _PRIVATE_6)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Only the canonical form: what is short, octal, hexadecimal, one number or scoped is none."""
    if "%" in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    # A last label that is a number makes resolvers read the whole as an IPv4 address.
    return len(host) <= 254 and all(map(_LABEL.fullmatch, labels)) and _NUMBER.fullmatch(labels[-1]) is None
