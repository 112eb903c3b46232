"""What an owner may use: tiers, limits, and which of them is reached. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

What = Literal["media_per_day", "stored_bytes", "cost_per_month"]

MICROS = 1_000_000
_WORDS: dict[What, str] = {
    "media_per_day": "{:,} files a day",
    "stored_bytes": "{:,} bytes of stored files",
    "cost_per_month": "${:,.2f} a month",
}


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit that is not named does not exist; 0 allows nothing."""

    media_per_day: int | None = None
    stored_bytes: int | None = None
    cost_usd_per_month: float | None = None
    requests_per_minute: int | None = None  # for the limits of the API

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            limit = getattr(self, name)
            if limit is not None and limit < 0:
                raise ValueError(f"{name} is below zero")

    @property
    def cost_micros_per_month(self) -> int | None:
        return None if self.cost_usd_per_month is None else round(self.cost_usd_per_month * MICROS)


@dataclass(frozen=True)
class Quotas:
    """Every owner has a tier: the one that is named for them, or the default."""

    default: str
    tiers: Mapping[str, Tier]
    owners: Mapping[str, str] = field(default_factory=dict)

    def tier_of(self, owner: str) -> Tier:
        return self.tiers[self.owners.get(owner, self.default)]


@dataclass(frozen=True)
class Used:
    """On this UTC day, at this moment, and in this UTC month."""

    media_today: int = 0
    stored_bytes: int = 0
    cost_micros_this_month: int = 0


@dataclass(frozen=True)
class Reached:
    """A limit that leaves no room. `resets` is when there is room again by itself; stored bytes need a deletion."""

    what: What
    limit: int
    used: int
    resets: dt.datetime | None

    @property
    def sentence(self) -> str:
        until = f" until {self.resets:%Y-%m-%d %H:%M} UTC" if self.resets else ""
        limit = self.limit / MICROS if self.what == "cost_per_month" else self.limit
        return f"Your quota of {_WORDS[self.what].format(limit)} is used up{until}."


def day_of(now: dt.datetime) -> dt.date:
    return now.astimezone(dt.UTC).date()


def month_of(now: dt.datetime) -> tuple[dt.date, dt.date]:
    """The first day of the month and of the next one."""
    first = day_of(now).replace(day=1)
    return first, (first + dt.timedelta(days=31)).replace(day=1)


def cost_reached(tier: Tier, used: Used, now: dt.datetime) -> Reached | None:
    limit = tier.cost_micros_per_month
    if limit is None or used.cost_micros_this_month < limit:
        return None
    return Reached("cost_per_month", limit, used.cost_micros_this_month, _midnight(month_of(now)[1]))


def media_reached(tier: Tier, used: Used, now: dt.datetime, size_bytes: int = 1) -> Reached | None:
    """Why no medium of this size may come any more."""
    if tier.media_per_day is not None and used.media_today >= tier.media_per_day:
        tomorrow = _midnight(day_of(now) + dt.timedelta(days=1))
        return Reached("media_per_day", tier.media_per_day, used.media_today, tomorrow)
    if tier.stored_bytes is not None and used.stored_bytes + size_bytes > tier.stored_bytes:
        return Reached("stored_bytes", tier.stored_bytes, used.stored_bytes, None)
    return None


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
