"""Waits until the tables that readers see hold what the log said up to an offset."""

from __future__ import annotations

import asyncio

from polylogue.api.services import Services

ASK_EVERY_S = 0.02

_BEHIND = """
    SELECT count(*) FROM projection_versions AS shown
    WHERE shown.state = 'promoted' AND shown.projection = ANY(%s) AND NOT EXISTS (
        SELECT FROM projection_checkpoints AS reached
        WHERE reached.projection = shown.projection AND reached.version = shown.version
          AND reached."partition" = %s AND reached.log_id = %s AND reached.next_offset > %s)
"""


async def until_projected(
    services: Services, partition: int, offset: int, projections: tuple[str, ...]
) -> None:
    """Asks until every named projection has passed the offset; the caller sets the deadline."""
    values = (list(projections), partition, services.hub.log_ids.get(partition), offset)
    while True:
        async with services.pool.connection() as connection:
            row = await (await connection.execute(_BEHIND, values)).fetchone()
        if row is not None and row[0] == 0:
            return
        await asyncio.sleep(ASK_EVERY_S)
