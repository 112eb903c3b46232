"""Where a projector has stopped and why, kept for those who ask; it has no bearing on what is written."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import Refusal


async def remember_stop(
    connection: AsyncConnection[Any], projection: Projection, partition: int, refusal: Refusal
) -> None:
    await connection.execute(
        'INSERT INTO projection_stops (projection, version, "partition", "offset", reason)'
        ' VALUES (%s, %s, %s, %s, %s) ON CONFLICT (projection, version, "partition")'
        ' DO UPDATE SET "offset" = EXCLUDED."offset", reason = EXCLUDED.reason, stopped_at = now()',
        [projection.name, projection.version, partition, refusal.offset, refusal.reason],
    )


async def forget_stop(connection: AsyncConnection[Any], checkpoint: Checkpoint) -> None:
    """The partition is tried again."""
    await connection.execute(
        'DELETE FROM projection_stops WHERE projection = %s AND version = %s AND "partition" = %s',
        [checkpoint.projection, checkpoint.version, checkpoint.partition],
    )
