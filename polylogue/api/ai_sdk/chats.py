"""The tables of the AI SDK's chats: an owner's chat id → conversation, a user message's id → the turn that it became."""

from __future__ import annotations

from typing import NamedTuple

from polylogue.api.submissions import Pool


class TurnRef(NamedTuple):
    conversation_id: str
    turn_id: str


async def conversation_of(pool: Pool, owner: str, chat_id: str) -> str | None:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT conversation_id FROM ai_sdk_chats WHERE owner_id = %s AND chat_id = %s", (owner, chat_id)
        )
        row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def turn_of(pool: Pool, owner: str, chat_id: str, message_id: str) -> TurnRef | None:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            """SELECT conversation_id, turn_id FROM ai_sdk_messages
               WHERE owner_id = %s AND chat_id = %s AND message_id = %s""",
            (owner, chat_id, message_id),
        )
        row = await cursor.fetchone()
    return None if row is None else TurnRef(*row)


async def remember(pool: Pool, owner: str, chat_id: str, message_id: str, turn: TurnRef) -> None:
    """The chat goes on in this conversation, and this message, where it has a name, is this turn."""
    async with pool.connection() as connection:
        await connection.execute(
            """INSERT INTO ai_sdk_chats (owner_id, chat_id, conversation_id) VALUES (%s, %s, %s)
               ON CONFLICT (owner_id, chat_id)
               DO UPDATE SET conversation_id = excluded.conversation_id, changed_at = now()""",
            (owner, chat_id, turn.conversation_id),
        )
        if not message_id:
            return
        await connection.execute(
            """INSERT INTO ai_sdk_messages (owner_id, chat_id, message_id, conversation_id, turn_id)
               VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (owner_id, chat_id, message_id)
               DO UPDATE SET conversation_id = excluded.conversation_id, turn_id = excluded.turn_id""",
            (owner, chat_id, message_id, *turn),
        )
