"""How long the broker holds a follower's fetches: not at all at rest, and for a moment while events come."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer

from polylogue.infra.fetch_pace import hold_fetches


class BatchPace:
    """The first event after a pause ends its fetch; those behind it are gathered.

    What a transaction costs is mostly itself, and the states of the conversations it touches. Followers that took what
    was there each time made as many of them as the machine could bear: with one model that sends 50 pieces of text a
    second, all processes and servers together took 1.4 cores, and with fetches held for 75 ms 0.6.
    """

    HOLD_MS = 75  # below the follower's poll, which would come back without records
    ALONE_MS = 30  # behind an event that came by itself: what follows it is in the tables within 50 ms
    HELD_BYTES = 256 * 1024  # some hundreds of records: who has so many before it need not gather any

    def __init__(self, consumer: AIOKafkaConsumer, wait_ms: int) -> None:
        """`wait_ms` is for a fetch that ends with its first record."""
        self._consumer, self._wait_ms = consumer, wait_ms

    def saw(self, records: int) -> None:
        """After every poll: how many there were."""
        if records:
            held_ms = self.HOLD_MS if records > 1 else self.ALONE_MS
            hold_fetches(self._consumer, held_ms, self.HELD_BYTES)
        else:
            hold_fetches(self._consumer, self._wait_ms)
