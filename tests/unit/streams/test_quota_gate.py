"""How a runner counts what the tables do not have yet, for all answers of an owner at once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection

import psycopg

from polylogue.media.quota_use import Reading
from polylogue.media.quotas import Quotas, Tier, Used
from polylogue.streams.quota_gate import AGAIN_S, FORGET_S, FRESH_S, QuotaGate

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


class Tables:
    """What the projection knows, and a clock that stands still."""

    def __init__(self, **limits: int) -> None:
        self.used: dict[str, Used] = {}
        self.seen: set[str] = set()
        self.reads = 0
        self.away = False
        self.clock = 0.0
        self.now = NOW
        quotas = Quotas("free", {"free": Tier(**limits), "staff": Tier()}, {"ada": "staff"})
        self.gate = QuotaGate(quotas, self.read, monotonic=lambda: self.clock, now=lambda: self.now)

    async def read(self, owner: str, now: dt.datetime, media: Collection[str]) -> Reading:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise psycopg.OperationalError("away")
        return Reading(self.used.get(owner, Used()), frozenset(self.seen & set(media)))

    async def taken(self, count: int, size: int = 1, *, owner: str = "bob", first: int = 0) -> int:
        """How many of so many media, asked for at once, were let in."""
        asked = (self.gate.refuses(owner, f"m{first + number}", size) for number in range(count))
        return sum(reached is None for reached in await asyncio.gather(*asked))


async def test_twelve_answers_at_once_share_one_count() -> None:
    assert await Tables(media_per_day=5).taken(12) == 5


async def test_bytes_are_shared_too() -> None:
    assert await Tables(stored_bytes=1000).taken(12, 300) == 3


async def test_what_the_tables_count_leaves_that_much_less_room() -> None:
    tables = Tables(media_per_day=5)
    tables.used["bob"] = Used(media_today=3)
    assert await tables.taken(12) == 2


async def test_a_medium_is_counted_once_before_and_after_the_tables_know_it() -> None:
    tables = Tables(media_per_day=5)
    assert await tables.taken(3) == 3
    tables.clock += FRESH_S
    assert await tables.taken(1, first=3) == 1  # a new reading that knows none of them: four are under way
    tables.clock += FRESH_S
    tables.used["bob"] = Used(media_today=4)
    tables.seen = {"m0", "m1", "m2", "m3"}
    assert await tables.taken(3, first=4) == 1


async def test_what_another_runner_produced_counts_from_the_next_reading() -> None:
    tables = Tables(media_per_day=5)
    assert await tables.taken(1) == 1
    tables.used["bob"] = Used(media_today=4)
    tables.clock += FRESH_S
    assert await tables.taken(3, first=1) == 0  # four of theirs, one of ours


async def test_one_reading_serves_many_media() -> None:
    tables = Tables(media_per_day=50)
    await tables.taken(12)
    assert tables.reads == 1


async def test_each_owner_has_their_own_count_and_some_have_no_limit() -> None:
    tables = Tables(media_per_day=2)
    assert await tables.taken(3) == 2
    assert await tables.taken(3, owner="eve") == 2
    assert await tables.taken(30, owner="ada") == 30
    assert tables.reads == 2


async def test_a_new_day_brings_new_room_but_no_bytes() -> None:
    tables = Tables(media_per_day=2, stored_bytes=1000)
    assert await tables.taken(3, 300) == 2
    tables.now += dt.timedelta(days=1)
    assert await tables.taken(3, 300, first=3) == 1  # nine hundred of a thousand bytes are taken
    reached = await tables.gate.refuses("bob", "m9", 300)
    assert reached is not None
    assert (reached.what, reached.used) == ("stored_bytes", 900)


async def test_while_the_tables_are_away_the_last_reading_and_what_is_produced_here_count() -> None:
    tables = Tables(media_per_day=5)
    tables.used["bob"] = Used(media_today=2)
    assert await tables.taken(1) == 1
    tables.away = True
    tables.clock += FRESH_S
    assert await tables.taken(9, first=1) == 2


async def test_without_any_reading_pictures_pass_up_to_the_limit_and_nobody_waits_again_at_once() -> None:
    tables = Tables(media_per_day=5)
    tables.away = True
    assert await tables.taken(9) == 5
    assert tables.reads == 1
    tables.clock += AGAIN_S
    tables.away = False
    assert await tables.taken(9, first=9) == 0
    assert tables.reads == 2


async def test_a_medium_that_the_tables_never_know_is_forgotten() -> None:
    tables = Tables(media_per_day=2)
    assert await tables.taken(2) == 2
    tables.clock += FORGET_S + 1
    assert await tables.taken(2, first=2) == 2


async def test_what_is_paid_for_passes_and_takes_room() -> None:
    tables = Tables(media_per_day=1)
    assert await tables.taken(1) == 1
    assert await tables.gate.refuses("bob", "film", 1, paid=True) is None
    reached = await tables.gate.refuses("bob", "m2", 1)
    assert reached is not None
    assert reached.used == 2
