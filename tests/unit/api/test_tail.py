"""The tail lets the broker hold its fetches while many small ones would come, and only then; and how far behind it is."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError

from polylogue.api import tail
from polylogue.api.tail import lag_of
from polylogue.api.tail_pace import FLOWING_MS, HOLD_MS, QUIET_MS, SHORT_MS, TailPace


class Paced:
    """A tail with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fetcher: Any = SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=0)
        consumer: Any = SimpleNamespace(_fetcher=self.fetcher)
        self._pace = TailPace(consumer, lambda: self.now)

    def second(self, fetches: int, records: int, *, readers: int = 1) -> None:
        for _ in range(fetches):
            self.now += 1 / fetches
            self.saw(records // fetches, readers=readers)

    def saw(self, records: int, *, readers: int = 1) -> None:
        self._pace.saw(records, records * readers)

    @property
    def held(self) -> bool:
        assert self.fetcher._fetch_min_bytes in (1, TailPace.HELD_BYTES)
        return bool(self.fetcher._fetch_min_bytes > 1)

    @property
    def wait_ms(self) -> int:
        return int(self.fetcher._fetch_max_wait_ms)


@pytest.mark.parametrize("name", ["_fetch_min_bytes", "_fetch_max_wait_ms"])
def test_aiokafka_still_reads_what_is_changed_for_each_fetch(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(Fetcher._get_actions_per_node)


def test_a_fetch_is_held_while_many_small_ones_come_and_let_go_when_few_do() -> None:
    tail = Paced()
    tail.second(50, 50)  # as with one conversation whose text everybody waits for
    assert not tail.held
    tail.second(1000, 2000)
    assert tail.held
    assert tail.wait_ms == HOLD_MS
    tail.second(200, 2000)
    assert tail.held
    tail.second(100, 100)
    assert not tail.held
    assert tail.wait_ms == FLOWING_MS


def test_fetches_are_short_while_so_many_read_along_that_they_cost_little_beside_writing() -> None:
    tail = Paced()
    tail.second(50, 50, readers=100)
    assert tail.wait_ms == FLOWING_MS
    tail.second(50, 50, readers=500)
    assert (tail.wait_ms, tail.held) == (SHORT_MS, False)
    tail.second(50, 50, readers=100)
    assert tail.wait_ms == FLOWING_MS


def test_nothing_is_asked_for_often_once_nothing_comes_however_many_read() -> None:
    tail = Paced()
    tail.second(50, 50, readers=500)
    tail.now += TailPace.QUIET_AFTER_S + 0.1
    tail.saw(0, readers=500)
    assert tail.wait_ms == QUIET_MS


def test_fetches_grow_long_while_nothing_comes_and_are_short_again_with_the_first_record() -> None:
    tail = Paced()
    tail.saw(0)
    assert tail.wait_ms == FLOWING_MS
    tail.now = TailPace.QUIET_AFTER_S + 0.1
    tail.saw(0)
    assert tail.wait_ms == QUIET_MS
    assert not tail.held  # or the first record would wait for as long
    tail.saw(1)
    assert tail.wait_ms == FLOWING_MS


def test_what_was_held_is_never_held_for_long() -> None:
    tail = Paced()
    tail.second(1000, 2000)
    assert tail.held
    tail.now += TailPace.QUIET_AFTER_S + 0.1
    tail.saw(0)
    assert not tail.held


class Consumer:
    """What a consumer knows of its partitions: where each ends, and what it asks for next."""

    def __init__(self, **known: tuple[int | None, int]) -> None:
        self._known = known

    def highwater(self, partition: TopicPartition) -> int | None:
        return self._known[partition.topic][0]

    async def position(self, partition: TopicPartition) -> int:
        return self._known[partition.topic][1]


@pytest.mark.parametrize(
    ("end", "position", "brought", "lag"),
    [
        (10, 10, 10, 0),
        (10, 10, 9, 0),  # the last one is the marker of a transaction, of which nothing is brought
        (10, 7, 7, 3),
        (10, 7, 6, 3),
        (None, 5, 5, 0),  # nothing was fetched yet
        (4, 5, 5, 0),
    ],
)
async def test_markers_of_transactions_are_no_lag(
    end: int | None, position: int, brought: int, lag: int
) -> None:
    consumer: Any = Consumer(log=(end, position))
    hub: Any = SimpleNamespace(positions={0: brought})
    assert await lag_of(consumer, hub, [TopicPartition("log", 0)]) == lag


class Unreachable:
    """A client of a cluster that does not answer."""

    def __init__(self) -> None:
        self.stopped = False

    async def start(self) -> None:
        raise KafkaConnectionError

    async def stop(self) -> None:
        self.stopped = True


async def test_a_consumer_that_could_not_start_is_stopped_before_the_next_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Unreachable] = []
    stopped: list[bool] = []
    explained: list[str | None] = []

    def consumer(*_: Any, **__: Any) -> Unreachable:
        stopped.extend(one.stopped for one in made)
        if len(made) == 2:
            raise asyncio.CancelledError
        made.append(Unreachable())
        return made[-1]

    monkeypatch.setattr(tail, "manual_consumer", consumer)
    monkeypatch.setattr(tail, "RETRY_S", 0.0)
    nothing: Any = None
    with pytest.raises(asyncio.CancelledError):
        await tail.run_tail(nothing, "log", nothing, nothing, explained.append)
    assert stopped == [True, True, True]
    assert explained == ["Kafka does not answer"] * 2
