"""Holds pieces of text back from a projection that makes no row of them, until it has something to write."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition

from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.ownership import Ownership
from polylogue.projections.protocol import Projection
from polylogue.schemas.base import Payload
from polylogue.schemas.events import ReasoningAppended, TextAppended

PIECES: frozenset[type[Payload]] = frozenset({TextAppended, ReasoningAppended})
# Whoever comes to an answer in its middle is shown what these hold, and waits for their checkpoints.
AWAITED = frozenset({"conversations", "conversation_messages"})

# As the product writes them. What is taken for one by mistake, or not taken for one, is written at another time.
_MARKS = tuple(f'"type":"{one.__name__}"'.encode() for one in PIECES)

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]


def may_gather(projection: Projection) -> bool:
    return not (projection.handles & PIECES or projection.name in AWAITED)


@dataclass(frozen=True)
class _Held:
    checkpoint: Checkpoint
    records: Sequence[ConsumerRecord]


class Gathering:
    """A batch of such pieces changes reducer states and checkpoint alone, and costs a transaction like any other.

    Whatever else comes is written at once, with what was held back before it. What is held is nowhere else: it belongs
    to the checkpoint that it lies behind, and whoever takes the partition anew reads it again.
    """

    HOLD_S = 0.25  # then the checkpoint moves all the same: others take it for how far the tables are
    MOST_RECORDS = 2000  # a batch: who has so many saves nothing by waiting

    def __init__(
        self, projection: Projection, owned: Ownership, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gathers = may_gather(projection)
        self._owned = owned
        self._clock = clock
        self._held: dict[TopicPartition, _Held] = {}
        self._since = 0.0

    @property
    def places(self) -> AbstractSet[TopicPartition]:
        """Partitions with records behind their checkpoint that are yet to be written."""
        return self._held.keys()

    def due(self, batches: Batches) -> Batches:
        """After every poll: what is to be written now, in order."""
        if not self._gathers:
            return batches
        gathered: dict[TopicPartition, Sequence[ConsumerRecord]] = {
            place: held.records
            for place, held in self._held.items()
            if self._owned.holds(place, held.checkpoint)
        }
        if not gathered:
            self._since = self._clock()
        for place, records in batches.items():
            gathered[place] = [*gathered[place], *records] if place in gathered else records
        waiting = self._waiting(gathered) if all(map(_only_pieces, batches.values())) else None
        self._held = waiting or {}
        return gathered if waiting is None else {}

    def _waiting(self, gathered: Batches) -> dict[TopicPartition, _Held] | None:
        """All of it behind its checkpoints; None where it has waited long enough, or is not to be written at all."""
        over = self._clock() - self._since >= self.HOLD_S
        if over or sum(map(len, gathered.values())) >= self.MOST_RECORDS:
            return None
        waiting = {}
        for place, records in gathered.items():
            checkpoint = self._owned.checkpoint(place)
            if checkpoint is None or records[0].offset < checkpoint.next_offset:
                return None
            waiting[place] = _Held(checkpoint, records)
        return waiting


def _only_pieces(records: Sequence[ConsumerRecord]) -> bool:
    return all(
        record.value is not None and any(mark in record.value for mark in _MARKS) for record in records
    )
