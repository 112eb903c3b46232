"""Waiting for a server: one line when it goes, one when it is back, and no wait beyond a stop."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from polylogue.projections import patience
from polylogue.projections.patience import Patience


async def test_each_change_of_state_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0)
    with structlog.testing.capture_logs() as logs:
        waiting = Patience("postgres", asyncio.Event(), structlog.get_logger())
        waiting.over()
        for _ in range(2):
            for _ in range(3):
                await waiting.wait(ConnectionError("refused\nIs the server running?"))
            waiting.over()
            waiting.over()

    assert [line["event"] for line in logs] == ["postgres_away", "postgres_back"] * 2
    assert logs[0]["reason"] == "refused"


async def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 3600.0)
    stop = asyncio.Event()
    waiting = asyncio.create_task(Patience("kafka", stop, structlog.get_logger()).wait(OSError("gone")))
    await asyncio.sleep(0)
    assert not waiting.done()

    stop.set()

    async with asyncio.timeout(5):
        await waiting
