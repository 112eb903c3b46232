"""Where a projector has stopped and why, kept for those who ask; it has no bearing on what is written."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection
from structlog.stdlib import BoundLogger

from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import Refusal
from polylogue.projections.session import Session


async def remember_stop(
    session: Session, projection: Projection, partition: int, refusal: Refusal, log: BoundLogger
) -> None:
    """Where Postgres is away it stays untold: the alarm has been raised."""
    try:
        await (await session.connection()).execute(
            'INSERT INTO projection_stops (projection, version, "partition", "offset", reason)'
            ' VALUES (%s, %s, %s, %s, %s) ON CONFLICT (projection, version, "partition")'
            ' DO UPDATE SET "offset" = EXCLUDED."offset", reason = EXCLUDED.reason, stopped_at = now()',
            [projection.name, projection.version, partition, refusal.offset, refusal.reason],
        )
    except psycopg.Error as error:
        log.warning("stop_not_recorded", reason=type(error).__name__)


async def forget_stop(connection: AsyncConnection[Any], checkpoint: Checkpoint) -> None:
    """The partition is tried again."""
    await connection.execute(
        'DELETE FROM projection_stops WHERE projection = %s AND version = %s AND "partition" = %s',
        [checkpoint.projection, checkpoint.version, checkpoint.partition],
    )
