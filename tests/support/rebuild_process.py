"""A rebuild in a process of its own, in small chunks, that tests kill, stop and let run on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Set as AbstractSet
from typing import Any

from psycopg import AsyncConnection

from polylogue.infra.settings import Settings
from polylogue.projections import filling_worker, operations, rebuilding
from polylogue.projections.rows import RowChanges
from tests.support.projections import MessagesV2

WORKERS = "REBUILD_WORKERS"
STALL = "REBUILD_STALLS_IN_COPY"


async def serve(settings: Settings, _stop: asyncio.Event) -> None:
    """Prints what it was told last, or why it was refused."""
    filling_worker.CHUNK_RECORDS = 40
    workers = int(os.environ.get(WORKERS, "0"))
    if workers:
        rebuilding.FEW_RECORDS = 0
    if os.environ.get(STALL):
        filling_worker.copy_new = _stall
    try:
        async for progress in operations.rebuild(
            settings, MessagesV2.name, projection=MessagesV2(), workers=workers
        ):
            print(progress)
    except operations.REFUSALS as error:
        print(type(error).__name__, error)


async def _stall(connection: AsyncConnection[Any], _changes: RowChanges, _known: AbstractSet[str]) -> None:
    """Stands still in the middle of a COPY, as a paused process does."""
    await connection.execute("CREATE TEMPORARY TABLE stall (line text)")
    async with connection.cursor() as cursor, cursor.copy("COPY stall FROM STDIN") as copy:
        await copy.write("x\n" * 100_000)
        os.kill(os.getpid(), signal.SIGSTOP)
