"""How many bytes of media all requests of a process may hold together; who comes first is served first."""

from __future__ import annotations

import asyncio
from collections import deque

# Of files, five of the largest; as data URLs they need two to four times as much for a moment.
HELD_BYTES = 100 * 1024 * 1024


class MediaBudget:
    """Taken before a medium is read, given back once what was made of it is written."""

    def __init__(self, most_bytes: int) -> None:
        self.most = self.free = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Waits for `size` bytes, which must be no more than there are."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # served and cancelled at the same moment
                self.free += size
            self._serve()
            raise

    def give(self, size: int) -> None:
        self.free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if size > self.free:
                    return
                self.free -= size
                turn.set_result(None)
            self._waiting.popleft()
