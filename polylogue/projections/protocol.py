"""What a projection is: a name, a version, its tables, what it handles, and a pure fold of events into row changes.

One file each:

    WORDS = Table("words_daily", key=("model_id", "day"), columns={
        "model_id": "text", "day": "date", "words": "bigint NOT NULL DEFAULT 0"})

    class WordsDaily:
        name, version, tables = "words_daily", 1, (WORDS,)
        handles = frozenset({TextAppended})

        def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
            changes = RowChanges()
            for seen in batch:
                if isinstance(seen.event.data, TextAppended):
                    words = len(seen.event.data.text.split())
                    changes.add(WORDS, model_id=seen.model, day=seen.day, words=words)
            return changes

and its name in `catalogue.py`. The framework makes the tables in a schema of their own, shows them to readers as views
in DATABASE_SCHEMA, and builds a further version beside the one that is read.

A partition is read in order, and a conversation is wholly in one. What would need the events of several partitions in
their common order cannot be expressed: there is none. Rows that events of several conversations meet in are written
with `RowChanges.add` alone, which gives the same sums in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import ResponseSlot


@dataclass(frozen=True, slots=True)
class TurnProgress:
    """A turn as it stands after an event that opened or completed a round of it."""

    turn_id: str
    round: int  # the latest
    start_offset: int  # where a reader of what is unfinished in it must begin
    finished: bool


class VisibleEvent(msgspec.Struct, frozen=True):
    """An event that the reducer let pass, with what the reducer knew right after it."""

    event: Event
    partition: int
    offset: int
    turn_running: bool  # whether any turn of the conversation is unfinished after this event
    turn: TurnProgress | None = None  # where the event opened or completed a round
    model: str | None = None  # of the event's response
    media: tuple[MediaType, ...] = ()  # where the event ended a response: the types of what it produced
    waited_ms: int | None = None  # where it is a medium's outcome: since it was produced or tried again
    answers: tuple[ResponseSlot, ...] = ()  # where it rates a turn: the turn's completed answers

    @property
    def day(self) -> str:
        """The UTC day on which the event was written."""
        return self.event.occurred_at[: len("2026-01-31")]


class Projection(Protocol):
    """Deterministic: the same events give the same rows, however they are cut into batches.

    So there is no clock, no chance and no sequence in `apply` or in the tables; times are the events', money is
    integer micro-dollars.
    """

    @property
    def name(self) -> str:
        """What it builds; part of its consumer group and of its checkpoint."""
        ...

    @property
    def version(self) -> int:
        """Rises when the tables change or the same events give other rows: built anew beside the old ones.

        The catalogue carries the former version too until it is pruned.
        """
        ...

    @property
    def tables(self) -> tuple[Table, ...]: ...

    @property
    def handles(self) -> frozenset[type[Payload]]: ...

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        """Folds events of the types in `handles`, and whichever changed a turn's progress, in the order of their partition.

        There is at least one in a batch.
        """
        ...


def fold_each(batch: Sequence[VisibleEvent], fold: Callable[[RowChanges, VisibleEvent], None]) -> RowChanges:
    """What a projection's `apply` returns whose `fold` looks at one event at a time."""
    changes = RowChanges()
    for seen in batch:
        fold(changes, seen)
    return changes
