"""How many responses may be upstream at once, and who is next: fair between conversations."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Capacity:
    """Slots for responses. A freed one goes to the conversation that has waited longest for its turn, then to the
    next conversation: twelve models of one prompt do not hold up everybody else's."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def queued(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    @asynccontextmanager
    async def slot(self, conversation_id: str, on_queued: Callable[[int], None]) -> AsyncIterator[None]:
        """Holds a slot; `on_queued` is told the place in the queue (from 1) where there is none free."""
        await self._acquire(conversation_id, on_queued)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, conversation_id: str, on_queued: Callable[[int], None]) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(conversation_id, deque())
        queue.append(turn)
        on_queued(self._place(conversation_id))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # the slot had just been given to this one
            else:
                self._forget(conversation_id, turn)
            raise

    def _release(self) -> None:
        while self._waiting:
            conversation_id, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[conversation_id] = queue  # behind everybody else
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, conversation_id: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(conversation_id)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[conversation_id]

    def _place(self, conversation_id: str) -> int:
        """How many are served up to and with the last one of this conversation."""
        own = len(self._waiting[conversation_id])
        names = list(self._waiting)
        before = names.index(conversation_id)
        return own + sum(
            min(len(queue), own if names.index(name) < before else own - 1)
            for name, queue in self._waiting.items()
            if name != conversation_id
        )
