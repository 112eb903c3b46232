"""Waiting for a server that is away: ever longer pauses, ended by a stop, and one log line a change of state."""

from __future__ import annotations

import asyncio
import random

from structlog.stdlib import BoundLogger

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0  # also how late its return may be noticed


class Patience:
    def __init__(self, server: str, stop: asyncio.Event, log: BoundLogger) -> None:
        self._server = server
        self._stop = stop
        self._log = log
        self._failures = 0

    async def wait(self, error: Exception) -> None:
        """Pauses after a failure; returns early when the process stops."""
        if self._failures == 0:
            # The first line says it all; libpq adds hints below.
            reason = next(iter(str(error).splitlines()), "")
            self._log.warning(f"{self._server}_away", error=type(error).__name__, reason=reason)
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        self._failures += 1
        try:
            # Jitter, so that many copies do not return in step; nothing in a table depends on it.
            await asyncio.wait_for(self._stop.wait(), pause * random.uniform(0.5, 1))  # noqa: S311
        except TimeoutError:
            return

    def over(self) -> None:
        """The server has answered."""
        if self._failures:
            self._log.warning(f"{self._server}_back", failures=self._failures)
            self._failures = 0
