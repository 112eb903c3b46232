"""What a follower owns: how far each partition is, which have stopped, and what the group was not told yet."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from aiokafka import TopicPartition

from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.metrics import STOPPED
from polylogue.projections.states import StateMemory


class Ownership:
    """Between two awaits a rebalance may take all of it away, so whoever has waited names the checkpoint that it had.

    A partition that is assigned and neither owned nor stopped is to be sought to its table's checkpoint.
    """

    def __init__(self, *labels: str) -> None:
        """`labels` are those of the gauge of stopped partitions."""
        self.memory = StateMemory()
        self._stopped_gauge = STOPPED.labels(*labels)
        self._checkpoints: dict[TopicPartition, Checkpoint] = {}
        self._stopped: set[TopicPartition] = set()
        self._attempts: dict[TopicPartition, int] = {}
        self._unreported: dict[TopicPartition, int] = {}

    @property
    def places(self) -> AbstractSet[TopicPartition]:
        return self._checkpoints.keys()

    @property
    def positions(self) -> dict[TopicPartition, int]:
        return {place: checkpoint.next_offset for place, checkpoint in self._checkpoints.items()}

    def to_take(self, assigned: AbstractSet[TopicPartition]) -> AbstractSet[TopicPartition]:
        return assigned - self._checkpoints.keys() - self._stopped

    def take(self, place: TopicPartition, checkpoint: Checkpoint) -> None:
        self.memory.forget(place.partition)
        self._checkpoints[place] = checkpoint

    def checkpoint(self, place: TopicPartition) -> Checkpoint | None:
        return self._checkpoints.get(place)

    def holds(self, place: TopicPartition, checkpoint: Checkpoint) -> bool:
        """Whether nothing has happened to the partition since that was its checkpoint."""
        return self._checkpoints.get(place) is checkpoint

    def advance(self, place: TopicPartition, before: Checkpoint, after: Checkpoint) -> bool:
        """False where the partition has been lost meanwhile: what was written is for its next owner to find."""
        if not self.holds(place, before):
            return False
        self._checkpoints[place] = after
        self._unreported[place] = after.next_offset
        return True

    def release(self, *places: TopicPartition) -> None:
        """They will be taken again, from their tables' checkpoints on."""
        for place in places:
            self._checkpoints.pop(place, None)

    def release_all(self) -> None:
        self._checkpoints.clear()

    def failed(self, place: TopicPartition) -> int:
        """How often the record that the partition stands at could not be applied, this time included."""
        self._attempts[place] = self._attempts.get(place, 0) + 1
        return self._attempts[place]

    def succeeded(self, place: TopicPartition) -> None:
        self._attempts.pop(place, None)

    def stop(self, place: TopicPartition) -> None:
        self._checkpoints.pop(place, None)
        self._stopped.add(place)
        self._stopped_gauge.set(len(self._stopped))

    def take_unreported(self) -> Mapping[TopicPartition, int]:
        """The offsets that were reached since this was asked last."""
        unreported, self._unreported = self._unreported, {}
        return unreported

    def forget_all(self) -> None:
        """As at the start: what was assigned is taken again, and what had stopped is tried again."""
        self._checkpoints.clear()
        self.memory.clear()
        self._stopped.clear()
        self._attempts.clear()
        self._unreported.clear()
        self._stopped_gauge.set(0)
