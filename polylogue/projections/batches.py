"""One batch of one partition into one transaction: checkpoint, reducer states and rows, all of it or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from polylogue.infra.crash_points import crash_point
from polylogue.projections.checkpoints import Checkpoint, advance
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


async def _commit(
    connection: AsyncConnection[Any],
    projection: Projection,
    checkpoint: Checkpoint,
    events: Sequence[tuple[int, Event]],
    next_offset: int,
    *,
    write: Write = execute,
) -> Checkpoint:
    async with connection.transaction():
        # First, so that a copy which has lost the partition does nothing more, and the states read are the latest.
        advanced = await advance(connection, checkpoint, next_offset)
        conversations = conversations_of(events)
        states = await _load_states(connection, checkpoint, conversations)
        known = frozenset(states)
        changes = _fold(projection, states, events, checkpoint.partition)
        try:
            await write(connection, changes, known)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Its text would quote the row.
            raise _InapplicableError(f"Postgres refuses its row ({type(error).__name__})") from None
        crash_point("projection.rows_written")
        await _store_states(connection, checkpoint, states)
    return advanced


def _fold(
    projection: Projection,
    states: dict[str, ConversationState],
    events: Iterable[tuple[int, Event]],
    partition: int,
) -> RowChanges:
    try:
        visible = reduce(states, events, partition)
        return projection.apply([seen for seen in visible if _concerns(projection, seen)])
    except Exception as error:
        # All is caught: whatever an event makes pure code raise, it is that event that cannot be applied.
        raise _InapplicableError(f"it cannot be folded ({type(error).__name__})") from error


def _concerns(projection: Projection, seen: VisibleEvent) -> bool:
    return type(seen.event.data) in projection.handles or seen.turn is not None


async def _load_states(
    connection: AsyncConnection[Any], checkpoint: Checkpoint, conversations: Sequence[str]
) -> dict[str, ConversationState]:
    if not conversations:
        return {}
    # As text: msgspec is the only one to read it.
    cursor = await connection.execute(
        "SELECT conversation_id, state::text FROM projection_states"
        " WHERE projection = %s AND version = %s AND conversation_id = ANY(%s)",
        [checkpoint.projection, checkpoint.version, list(conversations)],
    )
    return {row[0]: _decode_state(row[1]) async for row in cursor}


async def _store_states(
    connection: AsyncConnection[Any], checkpoint: Checkpoint, states: Mapping[str, ConversationState]
) -> None:
    if not states:
        return
    await connection.execute(
        'INSERT INTO projection_states (projection, version, conversation_id, "partition", state)'
        # In binary: as text, every quotation mark of the JSON would be escaped one by one.
        " SELECT %s, %s, conversation_id, %s, state::json"
        " FROM unnest(%s::text[], %b::text[]) AS s(conversation_id, state)"
        " ON CONFLICT (projection, version, conversation_id) DO UPDATE SET state = EXCLUDED.state",
        [
            checkpoint.projection,
            checkpoint.version,
            checkpoint.partition,
            list(states),
            [msgspec.json.encode(state).decode() for state in states.values()],
        ],
    )
