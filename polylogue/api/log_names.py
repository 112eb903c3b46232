"""Which log each partition of `conversation-events` is: cursors of another must not be followed in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import psycopg_pool

from polylogue.api.catch_up import LogReaders
from polylogue.api.submissions import Pool
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated

Remembered = Callable[[int], Awaitable[str | None]]
LogNames = Callable[[int], Awaitable[dict[int, str]]]
"""The names of so many partitions, by number."""


class LogNotNamedError(Exception):
    """The topic is missing, or a partition has no name; the message says what to do."""


async def log_names(
    topic: str, readers: LogReaders, remembered: Remembered, partitions: int
) -> dict[int, str]:
    """The first record says it. Where that has been removed, the other partitions do, or who has read it before.

    Raises LogNotNamedError, KafkaError.
    """
    found = {number: await _first_says(topic, number, readers) for number in range(partitions)}
    names = {name for name in found.values() if name is not None}
    for number, name in found.items():
        if name is None:
            # All partitions are named at once, alike.
            known = next(iter(names)) if len(names) == 1 else await remembered(number)
            if known is None:
                raise LogNotNamedError(
                    f"the beginning of {topic}[{number}] was removed, and nobody knows its name any more"
                )
            found[number] = known
    return {number: name for number, name in found.items() if name is not None}


async def _first_says(topic: str, partition: int, readers: LogReaders) -> str | None:
    """None where the first record has been removed. Raises LogNotNamedError, KafkaError."""
    first, _ = await readers.ends(partition)
    if first > 0:
        return None
    record = await readers.first_record(partition)
    event = event_codec.decode(record.value) if record is not None else None
    if not isinstance(event, Event) or not isinstance(event.data, LogCreated):
        raise LogNotNamedError(f"{topic}[{partition}] has no name yet; run: polylogue topics apply")
    return event.data.log_id


def remembered_by_tables(pool: Pool) -> Remembered:
    """The projections have noted of which log they are made."""

    async def remembered(partition: int) -> str | None:
        query = 'SELECT DISTINCT log_id FROM projection_checkpoints WHERE "partition" = %s'
        try:
            async with pool.connection() as connection:
                rows = await (await connection.execute(query, [partition])).fetchall()
        except (psycopg.Error, psycopg_pool.PoolTimeout):
            return None  # it is asked again in a moment
        return rows[0][0] if len(rows) == 1 else None

    return remembered
