"""One batch of one partition into one transaction: checkpoint, reducer states and rows, all of it or none."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from polylogue.infra.crash_points import crash_point
from polylogue.projections.checkpoints import Checkpoint, PartitionLostError, advance, advance_all
from polylogue.projections.protocol import Projection, VisibleEvent
from polylogue.projections.reduction import Record, Refusal, conversations_of, read, reduce
from polylogue.projections.rows import RowChanges
from polylogue.projections.statements import statements
from polylogue.projections.states import StateMemory, load_states, storing
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event

Write = Callable[[AsyncConnection[Any], RowChanges, AbstractSet[str]], Awaitable[None]]
"""Carries out the changes; it is told which conversations were there before the batch."""


async def execute(connection: AsyncConnection[Any], changes: RowChanges, _known: AbstractSet[str]) -> None:
    """Never a COPY: a client that stands still in one is ended by no time-out of Postgres."""
    for statement in statements(changes):
        await connection.execute(statement.sql, statement.parameters)


class _InapplicableError(Exception):
    """An event among the batch's that cannot be applied. The message is the reason and names no content."""


@dataclass(frozen=True)
class Applied:
    """How far the batch got; with a refusal, it stands at the refused record and can get no further."""

    checkpoint: Checkpoint
    refusal: Refusal | None = None


async def apply_batch(
    connection: AsyncConnection[Any],
    projection: Projection,
    checkpoint: Checkpoint,
    records: Sequence[Record],
    *,
    skips: AbstractSet[int] = frozenset(),
    write: Write = execute,
    memory: StateMemory | None = None,
) -> Applied:
    """Applies records that begin at the checkpoint, in order, but for those at the offsets in `skips`.

    Raises PartitionLostError, and psycopg.Error where the transaction may be tried again.
    """
    readable = read(record for record in records if record.offset not in skips) if skips else read(records)
    events, end = list(readable.events), records[-1].offset + 1
    if readable.refusal is not None:
        end = readable.refusal.offset
    if end == checkpoint.next_offset:
        return Applied(checkpoint, readable.refusal)
    try:
        advanced = await _commit(connection, projection, checkpoint, events, end, write=write, memory=memory)
        return Applied(advanced, readable.refusal)
    except _InapplicableError as error:
        if len(events) == 1:
            return await _stop_before(connection, projection, checkpoint, Refusal(events[0][0], str(error)))
    # Which event it is shows when they are tried in ever smaller batches.
    half = len(events) // 2
    for part in (records[:half], records[half:]):
        applied = await apply_batch(
            connection, projection, checkpoint, part, skips=skips, write=write, memory=memory
        )
        if applied.refusal is not None:
            return applied
        checkpoint = applied.checkpoint
    return applied


async def _stop_before(
    connection: AsyncConnection[Any], projection: Projection, checkpoint: Checkpoint, refusal: Refusal
) -> Applied:
    if refusal.offset > checkpoint.next_offset:
        checkpoint = await _commit(connection, projection, checkpoint, [], refusal.offset)
    return Applied(checkpoint, refusal)


async def apply_together(
    connection: AsyncConnection[Any],
    projection: Projection,
    parts: Sequence[tuple[Checkpoint, Sequence[Record], AbstractSet[int]]],
    memory: StateMemory | None = None,
) -> list[Checkpoint] | None:
    """Applies batches of several partitions, each with its skips, in one transaction: a transaction is what costs.

    None where one of them must be applied by itself: its records say why, or its partition is lost. Nothing is
    written then. Raises psycopg.Error where the transaction may be tried again.
    """
    readable = [
        (checkpoint, read(record for record in records if record.offset not in skips), records[-1].offset + 1)
        for checkpoint, records, skips in parts
    ]
    if any(part.refusal is not None for _, part, _ in readable):
        return None
    try:
        return await _transact(
            connection,
            projection,
            [_Part(checkpoint, part.events, end) for checkpoint, part, end in readable],
            execute,
            memory,
        )
    except (_InapplicableError, PartitionLostError):
        return None


async def _commit(
    connection: AsyncConnection[Any],
    projection: Projection,
    checkpoint: Checkpoint,
    events: Sequence[tuple[int, Event]],
    next_offset: int,
    *,
    write: Write = execute,
    memory: StateMemory | None = None,
) -> Checkpoint:
    part = _Part(checkpoint, events, next_offset)
    (advanced,) = await _transact(connection, projection, [part], write, memory)
    return advanced


@dataclass(frozen=True)
class _Part:
    """What one partition adds to a transaction."""

    checkpoint: Checkpoint
    events: Sequence[tuple[int, Event]]
    next_offset: int


async def _transact(
    connection: AsyncConnection[Any],
    projection: Projection,
    parts: Sequence[_Part],
    write: Write,
    memory: StateMemory | None,
) -> list[Checkpoint]:
    partitions = {
        conversation_id: part.checkpoint.partition
        for part in parts
        for conversation_id in conversations_of(part.events)
    }
    remembered = {} if memory is None else memory.lend(partitions)
    known = frozenset(remembered)
    changes: RowChanges | None = None
    if memory is not None and known == partitions.keys():
        try:
            changes = _fold(projection, remembered, parts)
        except _InapplicableError:
            remembered = {}  # changed in part; and only who still has the partition may say so
        if changes is not None and not changes and len(parts) == 1 and write is execute:
            return [await _only_states(connection, projection, parts[0], remembered, memory)]
    async with connection.transaction():
        # First, so that a copy which has lost the partition does nothing more, and the states read are the latest.
        advanced = await advance_all(connection, [(part.checkpoint, part.next_offset) for part in parts])
        states = await load_states(connection, projection, partitions, remembered)
        if changes is None:
            known = frozenset(states)
            changes = _fold(projection, states, parts)
        try:
            await write(connection, changes, known)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Its text would quote the row.
            raise _InapplicableError(f"Postgres refuses its row ({type(error).__name__})") from None
        crash_point("projection.rows_written")
        stored = storing(projection, states, partitions)
        if states:
            await connection.execute(stored.sql, stored.parameters)
    if memory is not None:
        memory.keep(states, partitions, stored.sizes)
    return advanced


async def _only_states(
    connection: AsyncConnection[Any],
    projection: Projection,
    part: _Part,
    states: Mapping[str, ConversationState],
    memory: StateMemory,
) -> Checkpoint:
    """For a batch without rows: one statement, which is a transaction by itself."""
    partitions = dict.fromkeys(states, part.checkpoint.partition)
    stored = storing(projection, states, partitions, "EXISTS (SELECT FROM moved)")
    advanced = await advance(
        connection, part.checkpoint, part.next_offset, beside=stored.sql, parameters=stored.parameters
    )
    memory.keep(states, partitions, stored.sizes)
    return advanced


def _fold(projection: Projection, states: dict[str, ConversationState], parts: Sequence[_Part]) -> RowChanges:
    try:
        visible = [
            seen
            for part in parts
            for seen in reduce(states, part.events, part.checkpoint.partition)
            if _concerns(projection, seen)
        ]
        # What concerns it not at all is nothing to apply, and a projection may count on having something.
        return projection.apply(visible) if visible else RowChanges()
    except Exception as error:
        # All is caught: whatever an event makes pure code raise, it is that event that cannot be applied.
        raise _InapplicableError(f"it cannot be folded ({_where(error)})") from error


def _where(error: Exception) -> str:
    """For whoever mends the projection. Not what the error says, which may be of the event's content."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def _concerns(projection: Projection, seen: VisibleEvent) -> bool:
    return type(seen.event.data) in projection.handles or seen.turn is not None
