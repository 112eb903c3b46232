"""How long the broker holds the tail's fetches: not at all while few come, for some milliseconds while many would.

What an event costs with few subscribers is the fetch that brings it, and its request most of all. 500 conversations
with a reader each and 2,000 events a second (`bench sse_fan_out`, load C), held for 4 and for 3 ms: 8.8k and 8.2k
deliveries a CPU-second, and half of them within 4.8 and 3.9 ms. Where the hold begins and ends is a choice and not
a measurement. At rates at which nothing would be joined nobody waits for another.

A record ends a fetch that was not held, however long that may last, so while text flows an empty one need not end soon.
Where many read along it does all the same. Whoever has slept since the last event is slow to wake: the broker's threads,
and on a virtual machine the processors. Load A, 50 events a second to 500 readers, ten windows of 5 s: with fetches of 50 ms
half had an event within 5.5 to 6.8 ms and all but a hundredth within 8.8 to 12.9, with fetches of 2 ms within 4.3 to 5.0 and
7.7 to 12.8. It costs 7 % of a core here, which is little beside what writing to so many costs, and much beside one reader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

HOLD_MS = 4
SHORT_MS = 2
FLOWING_MS = 50
QUIET_MS = 500


class TailPace:
    """What aiokafka is to ask for next, from what came."""

    QUIET_AFTER_S = 2.0
    HOLD_ABOVE = 300.0  # fetches a second
    RELEASE_BELOW = 150.0  # records a second: held, there are no more than 200 fetches
    SHORT_ABOVE = 10_000.0  # frames delivered a second: writing them costs as much as 500 fetches
    LOOK_EVERY_S = 0.5
    HELD_BYTES = 64 * 1024  # whoever has so much is answered at once

    def __init__(self, consumer: AIOKafkaConsumer, clock: Callable[[], float]) -> None:
        # aiokafka has no way to say so to a running consumer; a test tells when these names are gone.
        self._fetcher: Any = consumer._fetcher  # noqa: SLF001
        self._clock = clock
        self._since = self._last = clock()
        self._fetches = self._records = self._delivered = 0
        self._held = self._short = False

    def saw(self, records: int, delivered: int) -> None:
        """After every poll, before anything is waited for: the next fetch is sent then. `delivered` are the frames that
        the records became, of all readers together."""
        now = self._clock()
        self._fetches += 1
        self._records += records
        self._delivered += delivered
        if records:
            self._last = now
        if (passed := now - self._since) >= self.LOOK_EVERY_S:
            if self._held:
                self._held = self._records / passed >= self.RELEASE_BELOW
            else:
                self._held = self._fetches / passed > self.HOLD_ABOVE
            self._short = self._delivered / passed >= self.SHORT_ABOVE
            self._since, self._fetches, self._records, self._delivered = now, 0, 0, 0
        wait_ms = HOLD_MS if self._held else SHORT_MS if self._short else FLOWING_MS
        if now - self._last > self.QUIET_AFTER_S:
            wait_ms = QUIET_MS
        self._fetcher._fetch_max_wait_ms = wait_ms  # noqa: SLF001
        self._fetcher._fetch_min_bytes = self.HELD_BYTES if self._held else 1  # noqa: SLF001
