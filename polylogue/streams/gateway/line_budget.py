"""Bounds what all answers together hold of unfinished long lines, which are large media on their way in."""

from __future__ import annotations

import asyncio

MIB = 1024 * 1024

# A picture that could not be decoded while it arrived is held twice while that is done, so the most that a process
# holds is not quite twice this and the longest line that is allowed.
BUDGET_BYTES = 64 * MIB
SMALL_BYTES = MIB  # an answer that holds less never waits


class Line:
    """What one answer holds."""

    def __init__(self, budget: LineBudget) -> None:
        self._budget = budget
        self.held = 0

    def holds(self, size_bytes: int) -> None:
        self._budget.changed(self, size_bytes)

    async def room(self) -> bool:
        """Returns when this answer may read on; true where it had to wait."""
        return await self._budget.room(self)


class LineBudget:
    """While the budget is spent only the one that became long first reads on, so nobody waits for each other."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = budget_bytes
        self._held = 0
        self._long: dict[Line, None] = {}  # in the order in which they became long
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def held(self) -> int:
        return self._held

    def line(self) -> Line:
        """For one answer; `holds(0)` gives back what it held."""
        return Line(self)

    def changed(self, line: Line, size_bytes: int) -> None:
        grown = size_bytes - line.held
        self._held += grown
        line.held = size_bytes
        if size_bytes >= SMALL_BYTES:
            self._long.setdefault(line)
        else:
            self._long.pop(line, None)
        if grown < 0:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def room(self, line: Line) -> bool:
        waited = False
        while line in self._long and self._held >= self._budget and next(iter(self._long)) is not line:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            waited = True
            await waiter
        return waited
