"""A process that stops sends its readers off in small groups and in no order, within a time that does not grow."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from polylogue.api import live
from polylogue.api.live import LiveStreams
from polylogue.api.live_stream import retry_hint


class Stream:
    """As much of a live stream as is sent off."""

    def __init__(self, number: int, cut: list[int]) -> None:
        self.number, self.slot, self._cut = number, 0, cut

    def cut(self, reason: str) -> None:
        assert reason == "shutdown"
        self._cut.append(self.number)


async def sent_off(count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int], float]:
    """Who was sent off in which order, how many there were at each pause, and how long the pauses were in all."""
    cut: list[int] = []
    seen: list[int] = []
    waited = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        seen.append(len(cut))

    streams = LiveStreams(time.monotonic)
    for number in range(count):
        stream: Any = Stream(number, cut)
        streams.add(stream)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        await streams.send_off()
    return cut, [*seen, len(cut)], waited


async def test_a_few_are_sent_off_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, _, waited = await sent_off(live.SENT_OFF_AT_ONCE, monkeypatch)
    assert sorted(cut) == list(range(live.SENT_OFF_AT_ONCE))
    assert waited == 0


async def test_many_are_sent_off_in_groups_and_in_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, seen, waited = await sent_off(1000, monkeypatch)
    assert sorted(cut) == list(range(1000))
    assert cut != sorted(cut)
    groups = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert set(groups) == {live.SENT_OFF_AT_ONCE}
    assert 1 < waited <= live.SEND_OFF_S


async def test_however_many_there_are_they_are_gone_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, _, waited = await sent_off(20_000, monkeypatch)
    assert len(set(cut)) == 20_000
    assert waited <= live.SEND_OFF_S


def test_readers_are_told_different_times_to_wait() -> None:
    hints = [retry_hint() for _ in range(200)]
    waits = [int(re.fullmatch(rb"retry: (\d+)\n\n", hint)[1]) for hint in hints]  # type: ignore[index]
    assert 500 <= min(waits) < 1000
    assert 3000 < max(waits) <= 4000
    assert len(set(waits)) > 100
