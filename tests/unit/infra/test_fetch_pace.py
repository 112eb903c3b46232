"""Fetches are short from the first record on, and long after a while without any."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

from polylogue.infra.fetch_pace import FetchPace


def test_aiokafka_still_reads_what_is_set_for_each_fetch() -> None:
    source = inspect.getsource(Fetcher._get_actions_per_node)
    assert "self._fetch_max_wait_ms" in source
    assert "self._fetch_min_bytes" in source


def test_fetches_grow_long_while_nothing_comes_and_short_with_the_first_record() -> None:
    now = 0.0
    consumer: Any = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_max_wait_ms=5))
    pace = FetchPace(consumer, lambda: now, busy_ms=5, quiet_ms=50)

    def held() -> int:
        return int(consumer._fetcher._fetch_max_wait_ms)

    pace.saw(0)
    assert held() == 5
    now = pace.QUIET_AFTER_S + 0.1
    pace.saw(0)
    assert held() == 50
    pace.saw(1)
    assert held() == 5
    now += pace.QUIET_AFTER_S
    pace.saw(0)
    assert held() == 5
