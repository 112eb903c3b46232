"""Where a projection stands in a partition of which log, advanced only by whoever knows where it stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from polylogue.projections.log_heads import LogHead
from polylogue.projections.protocol import Projection


class PartitionLostError(Exception):
    """Another copy has advanced the checkpoint: this one's rows must be rolled back and its partition dropped."""


class NotLiveError(Exception):
    """The version has no tables any more, or is paused, or is still being built by somebody else."""


class CheckpointRefusedError(Exception):
    """The checkpoint does not belong to the log that is there; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    projection: str
    version: int
    partition: int
    log_id: str
    next_offset: int
    # The transaction that wrote the row last. After a reset another copy may have come to the same offset, by way of
    # other rows: a record may have been left out since.
    written_by: str


async def take(connection: AsyncConnection[Any], projection: Projection, head: LogHead) -> Checkpoint:
    """The checkpoint of the partition whose head is given; made at first sight. Runs in the caller's transaction.

    Raises CheckpointRefusedError where it cannot be continued from, NotLiveError where the version is not to be written.
    """
    # Held to the end of the transaction, so that no checkpoint is made for tables that somebody is dropping.
    cursor = await connection.execute(
        "SELECT paused FROM projection_versions WHERE projection = %s AND version = %s FOR SHARE",
        [projection.name, projection.version],
    )
    registered = await cursor.fetchone()
    if registered is None or registered[0]:
        raise NotLiveError(f"{projection.name} v{projection.version}")
    return await begin(connection, projection, head)


async def begin(connection: AsyncConnection[Any], projection: Projection, head: LogHead) -> Checkpoint:
    """As `take`, for whoever builds tables that no projector follows."""
    if head.log_id is not None:
        await connection.execute(
            'INSERT INTO projection_checkpoints (projection, version, "partition", log_id, next_offset)'
            " VALUES (%s, %s, %s, %s, 0) ON CONFLICT DO NOTHING",
            [projection.name, projection.version, head.partition, head.log_id],
        )
    cursor = await connection.execute(
        "SELECT log_id, next_offset, xmin::text FROM projection_checkpoints"
        ' WHERE projection = %s AND version = %s AND "partition" = %s',
        [projection.name, projection.version, head.partition],
    )
    row = await cursor.fetchone()
    if row is None:
        raise CheckpointRefusedError(_unnamed(head))
    checkpoint = Checkpoint(projection.name, projection.version, head.partition, *row)
    refusal = refuse(checkpoint, head)
    if refusal is not None:
        raise CheckpointRefusedError(refusal)
    return checkpoint


def refuse(checkpoint: Checkpoint, head: LogHead) -> str | None:
    """Why the log cannot be continued from the checkpoint, and what to do; None if it can."""
    place = f"partition {head.partition} of {head.topic}"
    if head.log_id is not None and head.log_id != checkpoint.log_id:
        return (
            f"{place} is log {head.log_id}, but the tables of {checkpoint.projection} were built from log"
            f" {checkpoint.log_id}: the topic was made anew; bring the former topic back, or let the tables be built"
            f" from the new one with: polylogue projections reset {checkpoint.projection}."
        )
    if checkpoint.next_offset > head.end:
        return (
            f"{place} ends at offset {head.end}, but the tables of {checkpoint.projection} were built up to offset"
            f" {checkpoint.next_offset}: the log has lost its end; restore it, or let the tables be built from what"
            f" is left with: polylogue projections reset {checkpoint.projection}."
        )
    if checkpoint.next_offset < head.beginning:
        return (
            f"{place} begins at offset {head.beginning}, but the tables of {checkpoint.projection} were built only up"
            f" to offset {checkpoint.next_offset}: records between were removed; restore them and set the topic's"
            " retention to forever with: polylogue topics apply."
        )
    return None


def _unnamed(head: LogHead) -> str:
    place = f"partition {head.partition} of {head.topic}"
    if head.beginning > 0:
        return (
            f"{place} begins at offset {head.beginning} and the tables were never built from its start: restore the"
            " removed records, and set the topic's retention to forever with: polylogue topics apply."
        )
    return (
        f"{place} does not begin with LogCreated: something was written before the topic was prepared; make the topic"
        " anew with: polylogue topics apply, or name another KAFKA_TOPIC_PREFIX."
    )


_ADVANCE = (
    "UPDATE projection_checkpoints AS c SET next_offset = u.next_offset"
    " FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::text[], %s::bigint[])"
    '   AS u("partition", log_id, former, written_by, next_offset)'
    ' WHERE c.projection = %s AND c.version = %s AND c."partition" = u."partition" AND c.log_id = u.log_id'
    ' AND c.next_offset = u.former AND c.xmin::text = u.written_by RETURNING c."partition", c.xmin::text'
)


async def advance(
    connection: AsyncConnection[Any],
    checkpoint: Checkpoint,
    next_offset: int,
    *,
    beside: str | None = None,
    parameters: Sequence[object] = (),
) -> Checkpoint:
    """Compare-and-set in one statement; holds the row until the transaction's end. Raises PartitionLostError.

    `beside` is carried out by the same statement, and sees as the rows of `moved` whether the checkpoint has moved.
    """
    (advanced,) = await _advance(
        connection, [(checkpoint, next_offset)], beside=beside, parameters=parameters
    )
    return advanced


async def advance_all(
    connection: AsyncConnection[Any], moves: Sequence[tuple[Checkpoint, int]]
) -> list[Checkpoint]:
    """Several partitions of one version, all or none, in the caller's transaction. Raises PartitionLostError."""
    return await _advance(connection, moves)


async def _advance(
    connection: AsyncConnection[Any],
    moves: Sequence[tuple[Checkpoint, int]],
    *,
    beside: str | None = None,
    parameters: Sequence[object] = (),
) -> list[Checkpoint]:
    version = moves[0][0]
    sql = _ADVANCE
    if beside is not None:
        sql = f"WITH moved AS ({_ADVANCE}), beside AS ({beside}) SELECT * FROM moved"  # noqa: S608 (our own words)
    cursor = await connection.execute(
        sql,
        [
            [checkpoint.partition for checkpoint, _ in moves],
            [checkpoint.log_id for checkpoint, _ in moves],
            [checkpoint.next_offset for checkpoint, _ in moves],
            [checkpoint.written_by for checkpoint, _ in moves],
            [next_offset for _, next_offset in moves],
            version.projection,
            version.version,
            *parameters,
        ],
    )
    moved = dict(await cursor.fetchall())
    for checkpoint, _ in moves:
        if checkpoint.partition not in moved:
            raise PartitionLostError(
                f"{checkpoint.projection} v{checkpoint.version} no longer stands at offset"
                f" {checkpoint.next_offset} of partition {checkpoint.partition}"
            )
    return [
        replace(checkpoint, next_offset=next_offset, written_by=moved[checkpoint.partition])
        for checkpoint, next_offset in moves
    ]
