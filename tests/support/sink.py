"""An answer's events where they would go to Kafka: kept in memory, acknowledged at once, refused when told to."""

from __future__ import annotations

import asyncio

from polylogue.schemas.envelope import Event
from polylogue.streams.partition_writer import PartitionLostError


class Sink:
    """Stands where the partition's writer stands."""

    partition = 0

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lost = False

    def append(self, event: Event) -> asyncio.Future[int]:
        if self.lost:
            raise PartitionLostError("lost")
        self.events.append(event)
        future = asyncio.get_running_loop().create_future()
        future.set_result(0)
        return future
