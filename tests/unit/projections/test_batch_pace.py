"""When the broker holds a follower's fetches: while events come, and never the first one after a pause."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from polylogue.projections.batch_pace import BatchPace
from polylogue.projections.follower import POLL_MS


@pytest.fixture
def fetcher() -> Any:
    return SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=50)


def _pace(fetcher: Any) -> BatchPace:
    return BatchPace(SimpleNamespace(_fetcher=fetcher), 50)


@pytest.mark.parametrize(("records", "held_ms"), [(1, BatchPace.ALONE_MS), (2, BatchPace.HOLD_MS)])
def test_while_events_come_fetches_are_held(fetcher: Any, records: int, held_ms: int) -> None:
    _pace(fetcher).saw(records)
    assert fetcher._fetch_max_wait_ms == held_ms
    assert fetcher._fetch_min_bytes == BatchPace.HELD_BYTES


def test_no_fetch_is_held_for_longer_than_a_poll() -> None:
    assert BatchPace.HOLD_MS < POLL_MS


def test_the_first_record_after_a_poll_without_any_ends_its_fetch(fetcher: Any) -> None:
    pace = _pace(fetcher)
    pace.saw(1)
    pace.saw(0)
    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == (1, 50)
