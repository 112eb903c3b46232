"""Lets the broker hold a consumer's fetches longer while nothing comes: whoever only waits should cost nothing.

One fetch is under way to a broker at a time, and it asks only for partitions of which nothing is unread here. So what
comes next in a busy partition waits until the fetch for the quiet ones has ended, which is why it must be a short one;
while all are quiet it asks for all of them, and the first record of any ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

QUIET_MS = 500


class FetchPace:
    """Short fetches from the first record on; long ones after a while without any.

    No record waits for a long fetch: aiokafka asks again when what came is taken, and by then it has been told here.
    Only what must be asked for while one is under way waits it out: a partition that is given, resumed or sought to,
    and what comes behind a first record that nobody has taken for a tenth of a second.
    """

    QUIET_AFTER_S = 2.0

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        clock: Callable[[], float],
        *,
        busy_ms: int,
        quiet_ms: int = QUIET_MS,
    ) -> None:
        self._consumer, self._clock, self._busy_ms, self._quiet_ms = consumer, clock, busy_ms, quiet_ms
        self._last = clock()

    def saw(self, records: int) -> None:
        """After every poll, before anything is waited for."""
        if records:
            self._last = self._clock()
            hold_fetches(self._consumer, self._busy_ms)
        elif self._clock() - self._last > self.QUIET_AFTER_S:
            hold_fetches(self._consumer, self._quiet_ms)


def hold_fetches(consumer: AIOKafkaConsumer, wait_ms: int, min_bytes: int = 1) -> None:
    """From the next fetch on the broker waits so long for so many bytes."""
    # aiokafka has no way to say so to a running consumer; a test tells when these names are gone.
    fetcher: Any = consumer._fetcher  # noqa: SLF001
    fetcher._fetch_max_wait_ms = wait_ms  # noqa: SLF001
    fetcher._fetch_min_bytes = min_bytes  # noqa: SLF001
