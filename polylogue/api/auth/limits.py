"""How often, how much and how many at once: whose limits a request counts against, and what is said of them. Pure."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylogue.api.principal import Principal
from polylogue.infra.settings import Settings
from polylogue.media.quotas import Quotas

WINDOW_S = 60
STREAMS_RETRY_S = 5  # nobody knows when one of them ends
MIB = 1024 * 1024


@dataclass(frozen=True)
class Limit:
    """Of one subject: requests and bytes in a minute, streams at once. None: as many as they like."""

    subject: str
    requests: int | None
    bytes: int | None
    streams: int | None


@dataclass(frozen=True)
class Spent:
    """By one subject in this minute, this request included; `ends_in_s`: until the minute is over."""

    requests: int
    bytes: int
    streams: int
    ends_in_s: float


@dataclass(frozen=True)
class Verdict:
    """`refusal` is a sentence; `headers` go with the answer, whatever it is."""

    headers: Mapping[str, str]
    refusal: str | None = None


class Policy:
    """Local mode knows no limits but those that the quotas name."""

    def __init__(self, settings: Settings, quotas: Quotas | None, *, signed_in: bool) -> None:
        self._settings, self._quotas, self._signed_in = settings, quotas, signed_in

    def limits(self, asking: Principal | None, address: str) -> list[Limit]:
        tier = self._quotas.tier_of(asking.owner) if self._quotas and asking else None
        named = tier.requests_per_minute if tier else None
        if not self._signed_in:
            return [Limit("owner:local", named, None, None)] if named is not None else []
        settings = self._settings
        size = settings.limit_mb_per_minute * MIB or None
        of_address = Limit(
            f"address:{network(address)}",
            settings.limit_address_requests_per_minute or None,
            size,
            settings.limit_address_streams or None,
        )
        if asking is None:
            return [of_address]
        requests = named if named is not None else settings.limit_requests_per_minute or None
        streams = settings.limit_streams or None
        return [
            Limit(asking.credential, requests, size, streams),
            Limit(f"owner:{asking.owner}", requests, size, streams),
            of_address,
        ]


def network(address: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def judge(limits: Sequence[Limit], spent: Sequence[Spent], *, stream: bool) -> Verdict:
    """The limit that leaves least is the one that is told of."""
    headers: dict[str, str] = {}
    counted = [
        (limit.requests - used.requests, limit.requests, used)
        for limit, used in zip(limits, spent, strict=True)
        if limit.requests is not None
    ]
    if counted:
        left, quota, used = min(counted, key=lambda one: one[0])
        headers = {
            "RateLimit-Policy": f'"default";q={quota};w={WINDOW_S}',
            "RateLimit": f'"default";r={max(0, left)};t={_seconds(used.ends_in_s)}',
        }
    for limit, used in zip(limits, spent, strict=True):
        whose = limit.subject.partition(":")[0]
        if limit.requests is not None and used.requests > limit.requests:
            return _refused(
                headers, f"More than {limit.requests} requests a minute of one {whose}", used.ends_in_s
            )
        if limit.bytes is not None and used.bytes > limit.bytes:
            told = f"More than {limit.bytes // MIB} MiB a minute from one {whose}"
            return _refused(headers, told, used.ends_in_s)
        if stream and limit.streams is not None and used.streams > limit.streams:
            told = f"More than {limit.streams} streams at once of one {whose}"
            return _refused(headers, told, STREAMS_RETRY_S)
    return Verdict(headers)


def _refused(headers: Mapping[str, str], told: str, retry_s: float) -> Verdict:
    wait = _seconds(retry_s)
    return Verdict(
        {**headers, "Retry-After": str(wait)}, f"{told} are too many; try again in {wait} seconds."
    )


def _seconds(seconds: float) -> int:
    """Whole ones, and never so few that who comes back is early."""
    return max(1, math.ceil(seconds))
