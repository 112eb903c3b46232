"""Whether an owner's quota has room for one more medium: what the tables count, and what they do not count yet."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg
import psycopg_pool

from polylogue.infra.logs import get_logger
from polylogue.infra.postgres import create_pool
from polylogue.infra.settings import Settings
from polylogue.media.quota_file import quotas_of
from polylogue.media.quota_use import Reading, read_use
from polylogue.media.quotas import Quotas, Reached, Used, day_of, media_reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FRESH_S = 1.0  # how long a reading holds; what this runner produces meanwhile is added to it
READ_S = 2.0  # the answer waits for it
AGAIN_S = 10.0  # after a reading that failed: answers do not wait for each medium anew
FORGET_S = (
    900.0  # a medium that the tables never came to know: its attempt was another runner's, or was hidden
)
MOST_OWNERS = 10_000  # readings kept

Read = Callable[[str, dt.datetime, Collection[str]], Awaitable[Reading]]

_log = get_logger(__name__)


@dataclass
class _Underway:
    size_bytes: int
    day: dt.date
    since: float


@dataclass
class _Owner:
    used: Used = field(default_factory=Used)
    day: dt.date | None = None
    read_at: float | None = None
    underway: dict[str, _Underway] = field(default_factory=dict)  # media that the reading does not have
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class QuotaGate:
    """All answers that a runner streams for an owner share one count, so that none of them passes the limit alone.

    What other runners produce is seen as soon as the tables have it. While the tables cannot be read the last reading
    holds, and without one only what this runner produces counts: a database that is away loses nobody's pictures.
    """

    def __init__(
        self,
        quotas: Quotas,
        read: Read,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._quotas = quotas
        self._read = read
        self._monotonic = monotonic
        self._now = now
        self._owners: dict[str, _Owner] = {}

    async def refuses(
        self, owner: str, media_id: str, size_bytes: int, *, paid: bool = False
    ) -> Reached | None:
        """The limit that leaves no room for the medium; where there is room, it is taken. A medium that is `paid` for
        is never refused, and takes room all the same."""
        tier = self._quotas.tier_of(owner)
        if tier.media_per_day is None and tier.stored_bytes is None:
            return None
        known = self._owners.setdefault(owner, _Owner())
        async with known.reading:
            if self._stale(known):
                await self._refresh(owner, known)
        # From here to the end nothing else of this process runs: two media cannot take the same room.
        now = self._now()
        if not paid:
            reached = media_reached(tier, self._used(known, now), now, size_bytes)
            if reached is not None:
                return reached
        known.underway[media_id] = _Underway(size_bytes, day_of(now), self._monotonic())
        return None

    def _stale(self, known: _Owner) -> bool:
        age = None if known.read_at is None else self._monotonic() - known.read_at
        return age is None or age >= FRESH_S or known.day != day_of(self._now())

    def _used(self, known: _Owner, now: dt.datetime) -> Used:
        """The reading, and what is not in it."""
        today = day_of(now)
        count = sum(one.day == today for one in known.underway.values())
        size = sum(one.size_bytes for one in known.underway.values())
        read_today = known.used.media_today if known.day == today else 0
        return replace(
            known.used, media_today=read_today + count, stored_bytes=known.used.stored_bytes + size
        )

    async def _refresh(self, owner: str, known: _Owner) -> None:
        begun, now = self._monotonic(), self._now()
        try:
            async with asyncio.timeout(READ_S):
                reading = await self._read(owner, now, tuple(known.underway))
        except (psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed, TimeoutError) as error:
            _log.warning("quota_not_read", error=type(error).__name__)
            if known.day != day_of(now):
                known.used, known.day = replace(known.used, media_today=0), day_of(now)
            known.read_at = self._monotonic() + AGAIN_S - FRESH_S
            return
        known.used, known.day, known.read_at = reading.used, day_of(now), begun
        for media_id in list(known.underway):
            if media_id in reading.seen or begun - known.underway[media_id].since > FORGET_S:
                del known.underway[media_id]
        self._forget()

    def _forget(self) -> None:
        """Whoever has produced nothing lately is read anew when they do."""
        if len(self._owners) <= MOST_OWNERS:
            return
        for owner, known in list(self._owners.items()):
            if not known.underway and not known.reading.locked() and self._stale(known):
                del self._owners[owner]


@asynccontextmanager
async def quota_gate(settings: Settings) -> AsyncIterator[QuotaGate | None]:
    """None where there are no quotas; the database is used by nobody then. Raises SettingsError."""
    quotas = quotas_of(settings)
    if quotas is None:
        yield None
        return
    pool = create_pool(settings, max_size=2)
    await pool.open(wait=False)

    async def read(owner: str, now: dt.datetime, media: Collection[str]) -> Reading:
        async with pool.connection(timeout=READ_S) as connection:
            return await read_use(connection, owner, now, media)

    try:
        yield QuotaGate(quotas, read)
    finally:
        await pool.close(timeout=READ_S)
