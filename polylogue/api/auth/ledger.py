"""Counts what subjects use, over all processes, in Postgres: requests that come while one count is under way share the next.

So a request waits for at most two statements, each of them counts any number of requests, and what is counted is exact:
the number in the row is the sum of all processes. Where the database does not answer, a process counts by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import psycopg_pool

from polylogue.api.auth.limits import WINDOW_S, Spent
from polylogue.infra.logs import get_logger

ANSWER_S = 2.0  # a request waits no longer for being counted
ALONE_S = 1.0  # how long a process counts by itself before it asks the database again
RENEW_S = 5.0
FORGOTTEN_AFTER = "interval '20 seconds'"  # four times RENEW_S: the streams of a process that died

_STREAMS = """
INSERT INTO open_streams (process, subject, streams, renewed_at)
SELECT %s, subject, streams, clock_timestamp() FROM unnest(%s::text[], %s::int[]) AS mine (subject, streams)
ORDER BY subject
ON CONFLICT (subject, process) DO UPDATE SET streams = EXCLUDED.streams, renewed_at = EXCLUDED.renewed_at"""

# Rows are locked in the order of their names, so that two processes never wait for each other.
_COUNT = f"""
WITH counted AS (
    INSERT INTO request_windows AS kept (subject, minute, requests, bytes)
    SELECT subject, floor(extract(epoch FROM clock_timestamp()) / {WINDOW_S})::bigint, requests, bytes
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS asked (subject, requests, bytes)
    ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET
        minute = greatest(kept.minute, EXCLUDED.minute),
        requests = EXCLUDED.requests + CASE WHEN kept.minute >= EXCLUDED.minute THEN kept.requests ELSE 0 END,
        bytes = EXCLUDED.bytes + CASE WHEN kept.minute >= EXCLUDED.minute THEN kept.bytes ELSE 0 END
    RETURNING subject, minute, requests, bytes
)
SELECT subject, requests, bytes, (minute + 1) * {WINDOW_S} - extract(epoch FROM clock_timestamp())::float8,
    (SELECT coalesce(sum(others.streams), 0) FROM open_streams AS others
     WHERE others.subject = counted.subject AND others.process <> %s
         AND others.renewed_at > clock_timestamp() - {FORGOTTEN_AFTER})::bigint
FROM counted"""  # noqa: S608 (our own words)

log = get_logger("polylogue.api.limits")

Pool = psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[Any]]


@dataclass
class _Waiting:
    subjects: Sequence[str]
    size: int
    requests: int
    answer: asyncio.Future[list[Spent]]


class Ledger:
    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.time) -> None:
        self.process = secrets.token_hex(8)
        self._pool, self._clock = pool, clock
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._streams: Counter[str] = Counter()
        self._unsaid: set[str] = set()  # subjects whose number of streams the database does not know yet
        self._alone_until = 0.0
        self._alone: dict[str, tuple[int, int, int]] = {}  # subject → minute, requests, bytes

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._count()), asyncio.create_task(self._renew())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for one in self._waiting:
                one.answer.cancel()

    async def charge(self, subjects: Sequence[str], size: int, *, requests: int = 1) -> list[Spent]:
        """What each subject has used with this request; streams as they are open now."""
        answer: asyncio.Future[list[Spent]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(subjects, size, requests, answer))
        self._news.set()
        return await answer

    def open(self, subjects: Sequence[str]) -> None:
        """A stream of all of these begins; counted before it is asked whether it may."""
        self._streams.update(subjects)
        self._unsaid.update(subjects)

    def close(self, subjects: Sequence[str]) -> None:
        self._streams.subtract(subjects)
        self._unsaid.update(subjects)

    async def _count(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            batch, self._waiting = self._waiting, []
            totals: dict[str, tuple[int, int, int, float]] | None = None
            if batch and time.monotonic() >= self._alone_until:
                try:
                    async with asyncio.timeout(ANSWER_S):
                        totals = await self._ask(batch)
                except (psycopg.Error, psycopg_pool.PoolTimeout, TimeoutError) as error:
                    log.warning("limits are counted by each process alone", error=type(error).__name__)
                    self._alone_until = time.monotonic() + ALONE_S
                except Exception as error:  # noqa: BLE001 (whatever it is, nobody may wait here for ever)
                    log.error("limits could not be counted", error=type(error).__name__)
            _answer(batch, totals if totals is not None else self._count_alone(batch), self._streams)

    async def _ask(self, batch: Sequence[_Waiting]) -> dict[str, tuple[int, int, int, float]]:
        requests, sizes = _sums(batch)
        subjects = list(requests)
        async with self._pool.connection() as connection:
            await self._say_streams(connection, self._unsaid.intersection(subjects))
            cursor = await connection.execute(
                _COUNT, (subjects, list(requests.values()), [sizes[one] for one in subjects], self.process)
            )
            return {
                subject: (count, size, streams, ends_in_s)
                for subject, count, size, ends_in_s, streams in await cursor.fetchall()
            }

    async def _say_streams(self, connection: psycopg.AsyncConnection[Any], subjects: set[str]) -> None:
        if not subjects:
            return
        self._unsaid -= subjects
        try:
            named = sorted(subjects)
            await connection.execute(_STREAMS, (self.process, named, [self._streams[one] for one in named]))
        except BaseException:  # cancelled or refused alike: it is still to be said
            self._unsaid |= subjects
            raise
        for one in named:
            if self._streams[one] <= 0:
                del self._streams[one]

    async def _renew(self) -> None:
        """So that those who read the rows know that this process lives."""
        while True:
            await asyncio.sleep(RENEW_S)
            if not self._streams and not self._unsaid:
                continue
            with contextlib.suppress(psycopg.Error, psycopg_pool.PoolTimeout, TimeoutError):
                async with asyncio.timeout(ANSWER_S), self._pool.connection() as connection:
                    await self._say_streams(connection, self._unsaid | set(self._streams))
                    await connection.execute(
                        "DELETE FROM open_streams WHERE process = %s AND streams <= 0", (self.process,)
                    )

    def _count_alone(self, batch: Sequence[_Waiting]) -> dict[str, tuple[int, int, int, float]]:
        requests, sizes = _sums(batch)
        now = self._clock()
        minute = int(now // WINDOW_S)
        if len(self._alone) > 10_000:
            self._alone.clear()
        totals = {}
        for subject, count in requests.items():
            known, before, bytes_before = self._alone.get(subject, (minute, 0, 0))
            if known != minute:
                before = bytes_before = 0
            self._alone[subject] = (minute, before + count, bytes_before + sizes[subject])
            ends_in_s = (minute + 1) * WINDOW_S - now
            totals[subject] = (before + count, bytes_before + sizes[subject], 0, ends_in_s)
        return totals


def _sums(batch: Sequence[_Waiting]) -> tuple[dict[str, int], dict[str, int]]:
    requests: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for one in batch:
        for subject in one.subjects:
            requests[subject] = requests.get(subject, 0) + one.requests
            sizes[subject] = sizes.get(subject, 0) + one.size
    return requests, sizes


def _answer(
    batch: Sequence[_Waiting], totals: dict[str, tuple[int, int, int, float]], streams: Counter[str]
) -> None:
    """Each as if it had been counted by itself, in the order in which they came."""
    requests, sizes = _sums(batch)
    so_far = {one: (totals[one][0] - requests[one], totals[one][1] - sizes[one]) for one in requests}
    for waiting in batch:
        spent = []
        for subject in waiting.subjects:
            count, size = so_far[subject]
            so_far[subject] = count, size = count + waiting.requests, size + waiting.size
            _, _, others, ends_in_s = totals[subject]
            spent.append(Spent(count, size, others + streams[subject], ends_in_s))
        if not waiting.answer.done():
            waiting.answer.set_result(spent)
