"""The live streams of a process: their audiences, signs of life, and how they are sent off."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from math import ceil

from polylogue.api.audience import Audience
from polylogue.api.live_stream import LiveStream, Reading

# Whoever stops sends its readers off so many at once and not all: they come back to processes that have others.
SENT_OFF_AT_ONCE = 25
SEND_OFF_PAUSE_S = 0.05
SEND_OFF_S = 3.0  # for all of them, however many; the process has ten seconds to end
_SLOTS = 4


class LiveStreams:
    """All live streams of a process."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        cut: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.clock, self.cut = clock, cut
        self._slots: deque[set[LiveStream]] = deque(set() for _ in range(_SLOTS))
        self._next = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def add(self, stream: LiveStream) -> None:
        stream.slot = self._next = (self._next + 1) % _SLOTS
        self._slots[stream.slot].add(stream)

    def remove(self, stream: LiveStream) -> None:
        self._slots[stream.slot].discard(stream)
        audiences = stream.subscription.audiences
        for key, audience in list(audiences.items()):
            audience.late.discard(stream)
            if not audience.ready and not audience.late:
                del audiences[key]

    def audience(self, subscription: Reading) -> Audience:
        key = (subscription.form, subscription.turn_id)
        audience = subscription.audiences.get(key)
        if audience is None:
            audience = subscription.audiences[key] = Audience(*key, subscription.window.end)
        return audience

    async def send_off(self) -> None:
        """Tells every stream to come back, some later than others; meanwhile the others are served."""
        streams = [stream for slot in self._slots for stream in slot]
        random.shuffle(streams)
        at_once = max(SENT_OFF_AT_ONCE, ceil(len(streams) * SEND_OFF_PAUSE_S / SEND_OFF_S))
        for first in range(0, len(streams), at_once):
            if first:
                await asyncio.sleep(SEND_OFF_PAUSE_S)
            for stream in streams[first : first + at_once]:
                stream.cut("shutdown")

    def stop(self) -> None:
        for slot in self._slots:
            for stream in list(slot):
                stream.cut("shutdown")

    async def keep_alive(self, every_s: float) -> None:
        """A sign of life on every stream that has been quiet, never later than `every_s` after the last."""
        while True:
            for slot in self._slots:
                await asyncio.sleep(every_s / 2 / _SLOTS)
                now = self.clock()
                for stream in list(slot):
                    stream.keep_alive(now, every_s / 2)
