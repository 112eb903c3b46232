"""The table of submissions: which key made which turn, and whether its command is known to be written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from polylogue.schemas.base import Value

Pool = AsyncConnectionPool[AsyncConnection[Any]]

_COLUMNS = """owner_id, idempotency_key, body_hash, conversation_id, turn_id, first_sent_at,
    command_partition, command_offset, coalesce(events_offset, 0) AS events_offset"""


class Submission(Value, frozen=True, kw_only=True):
    owner_id: str
    idempotency_key: str
    body_hash: str
    conversation_id: str
    turn_id: str
    first_sent_at: datetime
    events_offset: int  # a lower bound of the turn's start
    command_partition: int
    command_offset: int | None = None

    @property
    def first_sent_at_ms(self) -> int:
        return round(self.first_sent_at.timestamp() * 1000)


async def claim(pool: Pool, submission: Submission) -> Submission:
    """Stores the submission, or returns the one that had its key before."""
    async with pool.connection() as connection:
        for _ in range(2):  # the other one may be withdrawn between the two statements
            cursor = await connection.execute(
                """INSERT INTO submissions (owner_id, idempotency_key, body_hash, conversation_id, turn_id,
                       first_sent_at, command_partition, events_offset)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                   ON CONFLICT (owner_id, idempotency_key) DO NOTHING""",
                (
                    submission.owner_id,
                    submission.idempotency_key,
                    submission.body_hash,
                    submission.conversation_id,
                    submission.turn_id,
                    submission.first_sent_at,
                    submission.command_partition,
                    submission.events_offset,
                ),
            )
            if cursor.rowcount:
                return submission
            earlier = await _one(
                connection,
                "WHERE owner_id = %s AND idempotency_key = %s",
                (submission.owner_id, submission.idempotency_key),
            )
            if earlier is not None:
                return earlier
    return submission


async def find(pool: Pool, owner_id: str, idempotency_key: str) -> Submission | None:
    async with pool.connection() as connection:
        return await _one(
            connection, "WHERE owner_id = %s AND idempotency_key = %s", (owner_id, idempotency_key)
        )


async def latest(pool: Pool, owner_id: str, conversation_id: str) -> Submission | None:
    """The last submission of a conversation."""
    async with pool.connection() as connection:
        return await _one(
            connection,
            "WHERE owner_id = %s AND conversation_id = %s ORDER BY first_sent_at DESC LIMIT 1",
            (owner_id, conversation_id),
        )


async def withdraw(pool: Pool, submission: Submission) -> None:
    """Nothing was sent: as if it had never been."""
    async with pool.connection() as connection:
        await connection.execute(
            "DELETE FROM submissions WHERE turn_id = %s AND command_offset IS NULL", (submission.turn_id,)
        )


async def written(pool: Pool, turn_id: str, partition: int, offset: int) -> None:
    """The command is in the log; the lowest offset counts where it was sent twice."""
    async with pool.connection() as connection:
        await connection.execute(
            """UPDATE submissions SET command_partition = %s, command_offset = %s
               WHERE turn_id = %s AND command_offset IS NULL""",
            (partition, offset, turn_id),
        )


async def _one(
    connection: AsyncConnection[Any], condition: str, values: tuple[object, ...]
) -> Submission | None:
    async with connection.cursor(row_factory=class_row(Submission)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM submissions {condition}", values)  # noqa: S608 (our own words)
        return await cursor.fetchone()
