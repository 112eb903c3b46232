"""One batch of one partition into one transaction: checkpoint, reducer states and rows, all of it or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from polylogue.infra.crash_points import crash_point
from polylogue.projections.checkpoints import Checkpoint, PartitionLostError, advance_all
from polylogue.projections.protocol import Projection, VisibleEvent
from polylogue.projections.reduction import Record, Refusal, conversations_of, read, reduce
from polylogue.projections.rows import RowChanges
from polylogue.projections.statements import statements
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event

Write = Callable[[AsyncConnection[Any], RowChanges, AbstractSet[str]], Awaitable[None]]
"""Carries out the changes; it is told which conversations were there before the batch."""

_decode_state = msgspec.json.Decoder(ConversationState).decode


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
        advanced = await _commit(connection, projection, checkpoint, events, end, write=write)
        return Applied(advanced, readable.refusal)
    except _InapplicableError as error:
        if len(events) == 1:
            return await _stop_before(connection, projection, checkpoint, Refusal(events[0][0], str(error)))
    # Which event it is shows when they are tried in ever smaller batches.
    half = len(events) // 2
    for part in (records[:half], records[half:]):
        applied = await apply_batch(connection, projection, checkpoint, part, skips=skips, write=write)
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
) -> Checkpoint:
    (advanced,) = await _transact(connection, projection, [_Part(checkpoint, events, next_offset)], write)
    return advanced


@dataclass(frozen=True)
class _Part:
    """What one partition adds to a transaction."""

    checkpoint: Checkpoint
    events: Sequence[tuple[int, Event]]
    next_offset: int


async def _transact(
    connection: AsyncConnection[Any], projection: Projection, parts: Sequence[_Part], write: Write
) -> list[Checkpoint]:
    async with connection.transaction():
        # First, so that a copy which has lost the partition does nothing more, and the states read are the latest.
        advanced = await advance_all(connection, [(part.checkpoint, part.next_offset) for part in parts])
        partitions = {
            conversation_id: part.checkpoint.partition
            for part in parts
            for conversation_id in conversations_of(part.events)
        }
        states = await _load_states(connection, projection, sorted(partitions))
        known = frozenset(states)
        changes = _fold(projection, states, parts)
        try:
            await write(connection, changes, known)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Its text would quote the row.
            raise _InapplicableError(f"Postgres refuses its row ({type(error).__name__})") from None
        crash_point("projection.rows_written")
        await _store_states(connection, projection, states, partitions)
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
        raise _InapplicableError(f"it cannot be folded ({type(error).__name__})") from error


def _concerns(projection: Projection, seen: VisibleEvent) -> bool:
    return type(seen.event.data) in projection.handles or seen.turn is not None


async def _load_states(
    connection: AsyncConnection[Any], projection: Projection, conversations: Sequence[str]
) -> dict[str, ConversationState]:
    if not conversations:
        return {}
    # As text: msgspec is the only one to read it.
    cursor = await connection.execute(
        "SELECT conversation_id, state::text FROM projection_states"
        " WHERE projection = %s AND version = %s AND conversation_id = ANY(%s)",
        [projection.name, projection.version, list(conversations)],
    )
    return {row[0]: _decode_state(row[1]) async for row in cursor}


async def _store_states(
    connection: AsyncConnection[Any],
    projection: Projection,
    states: Mapping[str, ConversationState],
    partitions: Mapping[str, int],
) -> None:
    if not states:
        return
    names = sorted(states)
    await connection.execute(
        'INSERT INTO projection_states (projection, version, conversation_id, "partition", state)'
        # In binary: as text, every quotation mark of the JSON would be escaped one by one.
        ' SELECT %s, %s, conversation_id, "partition", state::json'
        ' FROM unnest(%s::text[], %s::integer[], %b::text[]) AS s(conversation_id, "partition", state)'
        " ON CONFLICT (projection, version, conversation_id) DO UPDATE SET state = EXCLUDED.state",
        [
            projection.name,
            projection.version,
            names,
            [partitions[name] for name in names],
            [msgspec.json.encode(states[name]).decode() for name in names],
        ],
    )
