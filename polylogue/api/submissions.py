"""The table of submissions: which key made what, what command says so, and whether that is known to be written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from polylogue.schemas.base import Value

Pool = AsyncConnectionPool[AsyncConnection[Any]]

KEPT = "interval '24 hours'"
_COLUMNS = """owner_id, idempotency_key, body_hash, conversation_id, turn_id, round, last_response, first_sent_at,
    command, command_partition, command_offset, coalesce(events_offset, 0) AS events_offset"""
_OF_KEY = f"WHERE owner_id = %s AND idempotency_key = %s AND first_sent_at > now() - {KEPT}"


class RoundTakenError(Exception):
    """Another request has just begun this round of the turn."""


class Submission(Value, frozen=True, kw_only=True):
    owner_id: str
    idempotency_key: str
    body_hash: str
    conversation_id: str
    turn_id: str  # of a conversation that begins without a turn: a name that no turn has
    round: int = 1  # of the turn; 0 where there is none
    last_response: int = 0  # the number of the last response that the round asks for
    first_sent_at: datetime
    events_offset: int  # a lower bound of the round's start
    command_partition: int
    command: bytes | None = None  # until it is known to be written
    command_offset: int | None = None

    @property
    def first_sent_at_ms(self) -> int:
        return round(self.first_sent_at.timestamp() * 1000)

    @property
    def has_turn(self) -> bool:
        return self.round > 0


async def claim(pool: Pool, submission: Submission) -> bool:
    """Stores the submission; false where its key is another one's. Raises RoundTakenError."""
    async with pool.connection() as connection:
        # A key that is older than its life is free again.
        await connection.execute(
            f"DELETE FROM submissions WHERE owner_id = %s AND idempotency_key = %s AND first_sent_at <= now() - {KEPT}",  # noqa: S608 (our own words)
            (submission.owner_id, submission.idempotency_key),
        )
        try:
            cursor = await connection.execute(
                """INSERT INTO submissions (owner_id, idempotency_key, body_hash, conversation_id, turn_id, round,
                       last_response, first_sent_at, command, command_partition, events_offset)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                   ON CONFLICT (owner_id, idempotency_key) DO NOTHING""",
                (
                    submission.owner_id,
                    submission.idempotency_key,
                    submission.body_hash,
                    submission.conversation_id,
                    submission.turn_id,
                    submission.round,
                    submission.last_response,
                    submission.first_sent_at,
                    submission.command,
                    submission.command_partition,
                    submission.events_offset,
                ),
            )
        except UniqueViolation:
            raise RoundTakenError from None
        return bool(cursor.rowcount)


async def find(pool: Pool, owner_id: str, idempotency_key: str) -> Submission | None:
    async with (
        pool.connection() as connection,
        connection.cursor(row_factory=class_row(Submission)) as cursor,
    ):
        await cursor.execute(f"SELECT {_COLUMNS} FROM submissions {_OF_KEY}", (owner_id, idempotency_key))  # noqa: S608 (our own words)
        return await cursor.fetchone()


async def withdraw(pool: Pool, submission: Submission) -> None:
    """Nothing was sent: as if it had never been."""
    async with pool.connection() as connection:
        await connection.execute(
            """DELETE FROM submissions
               WHERE owner_id = %s AND idempotency_key = %s AND turn_id = %s AND command_offset IS NULL""",
            (submission.owner_id, submission.idempotency_key, submission.turn_id),
        )


async def written(pool: Pool, submission: Submission, offset: int) -> None:
    """The command is in the log; the lowest offset counts where it was sent twice."""
    async with pool.connection() as connection:
        await connection.execute(
            """UPDATE submissions SET command_offset = %s, command = NULL
               WHERE owner_id = %s AND idempotency_key = %s AND command_offset IS NULL""",
            (offset, submission.owner_id, submission.idempotency_key),
        )


async def forget(pool: Pool) -> None:
    """Removes those whose keys have had their time; the tables of the projections know their turns."""
    async with pool.connection() as connection:
        await connection.execute(f"DELETE FROM submissions WHERE first_sent_at <= now() - {KEPT}")  # noqa: S608 (our own words)
