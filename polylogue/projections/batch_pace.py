"""How long the broker holds a follower's fetches: the longer, the longer a transaction takes, so that batches fit the machine."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer


class BatchPace:
    """Fetches that end with their first record while little comes or Postgres is fast; held ones while it is busy.

    What a transaction costs is mostly itself, and the states of the conversations it touches. A busy follower that takes
    what is there each time makes many small ones, all followers together as many as the machine can bear, and each
    of them is late. One that gathers for twice as long as its last transaction took makes fewer.
    """

    # The next fetch begins with the transaction, so that half of the time is left in which others may write.
    TIMES = 2
    LONGEST_HOLD_MS = 75  # below the follower's poll, which would come back without records
    HELD_BYTES = 256 * 1024  # some hundreds of records: who has so many before it need not gather any

    def __init__(self, consumer: AIOKafkaConsumer, wait_ms: int) -> None:
        """`wait_ms` is for a fetch that ends with its first record."""
        # aiokafka has no way to say so to a running consumer; a test tells when these names are gone.
        self._fetcher: Any = consumer._fetcher  # noqa: SLF001
        self._wait_ms = wait_ms

    def saw(self, records: int, took_s: float) -> None:
        """After every poll: how many there were, and how long their transaction took."""
        if records:
            self._fetcher._fetch_min_bytes = self.HELD_BYTES  # noqa: SLF001
            self._fetcher._fetch_max_wait_ms = min(  # noqa: SLF001
                self.LONGEST_HOLD_MS, round(self.TIMES * took_s * 1000)
            )
        else:
            self._fetcher._fetch_min_bytes = 1  # noqa: SLF001
            self._fetcher._fetch_max_wait_ms = self._wait_ms  # noqa: SLF001
