"""The tail lets the broker hold its fetches while many small ones would come, and only then."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

from polylogue.api.tail import FetchHold


def test_aiokafka_still_reads_the_size_of_a_fetch_for_each_of_them() -> None:
    assert "self._fetch_min_bytes" in inspect.getsource(Fetcher._get_actions_per_node)


def test_a_fetch_is_held_while_many_small_ones_come_and_let_go_when_few_do() -> None:
    now = 0.0
    consumer: Any = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_min_bytes=1))
    hold = FetchHold(consumer, lambda: now)

    def second(fetches: int, records: int) -> None:
        nonlocal now
        for _ in range(fetches):
            now += 1 / fetches
            hold.saw(records // fetches)

    second(50, 50)  # as with one conversation whose text everybody waits for
    assert not hold.held
    second(1000, 2000)
    assert hold.held
    second(200, 2000)
    assert hold.held
    second(100, 100)
    assert not hold.held
