"""Deleting a conversation or a medium: who else shows it is asked first, then the runner and the agent are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, LiteralString

from psycopg.rows import dict_row

from polylogue.api.changes import SEEN_WITHIN_S, channel_of, seen, send
from polylogue.api.errors import ApiError, not_found
from polylogue.api.projected import ASK_EVERY_S
from polylogue.api.services import Services
from polylogue.schemas.claims import MediumRef
from polylogue.schemas.commands import DeleteConversation, RemoveMedia
from polylogue.schemas.conversation_state import ConversationState

MOST_NAMED = 100  # conversations in a refusal
# Of a command, which is one record of at most 1 MiB. What lies beyond is found in the bucket by its prefix.
MOST_MEDIA = 500

# Whatever shares a turn of the conversation, and what came of that in turn. With a turn and a model it is whatever
# shares this model's answer in that turn. A deleted one between hands on what came before it.
_HEIRS = """
    WITH RECURSIVE heirs AS (
        SELECT child.conversation_id, child.title, child.deleted FROM conversations AS child
        WHERE child.parent_conversation_id = %(conversation)s AND child.owner_id = %(owner)s
          AND child.parent_turn_id IS NOT NULL
          AND (%(model)s::text IS NULL OR child.parent_model_id IS NULL OR child.parent_model_id = %(model)s)
          AND (%(turn)s::text IS NULL OR EXISTS (
              SELECT FROM conversation_turns AS last, conversation_turns AS shown
              WHERE last.turn_id = child.parent_turn_id AND shown.turn_id = %(turn)s
                AND coalesce(last.first_offset, last.start_offset)
                    >= coalesce(shown.first_offset, shown.start_offset)))
        UNION
        SELECT child.conversation_id, child.title, child.deleted
        FROM conversations AS child JOIN heirs ON child.parent_conversation_id = heirs.conversation_id
        WHERE child.owner_id = %(owner)s
          AND (%(model)s::text IS NULL OR child.parent_model_id IS NULL OR child.parent_model_id = %(model)s)
    )
    SELECT conversation_id, title FROM heirs WHERE NOT deleted ORDER BY conversation_id
"""
# What was begun a moment ago, whose parent the tables do not know yet.
_BEGUN = """
    SELECT FROM submissions AS begun
    WHERE begun.owner_id = %(owner)s AND begun.first_sent_at > now() - interval '30 seconds'
      AND NOT EXISTS (SELECT FROM conversations WHERE conversation_id = begun.conversation_id) LIMIT 1
"""
_REFERENCE = (
    "media_id, media_type, conversation_id, owner_id, key, turn_id, response_id, model_id, size_bytes"
)
_MEDIA = f"""
    SELECT {_REFERENCE} FROM media_objects
    WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s AND status NOT IN ('refused', 'deleted')
    ORDER BY media_id LIMIT {MOST_MEDIA}
"""  # noqa: S608 (our own words)
# Turns under whose ids attachments and histories lie. A branch goes on with the pictures of the prompt that it edits:
# they stay where they are until the last of the relatives that shows them is deleted.
_TURNS = """
    WITH RECURSIVE older AS (
        SELECT conversation_id, parent_conversation_id FROM conversations
        WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s
        UNION
        SELECT parent.conversation_id, parent.parent_conversation_id
        FROM conversations AS parent JOIN older ON parent.conversation_id = older.parent_conversation_id
    ), relatives AS (
        SELECT conversation_id FROM older
        UNION
        SELECT child.conversation_id
        FROM conversations AS child JOIN relatives ON child.parent_conversation_id = relatives.conversation_id
    ), pictures AS (
        SELECT message.conversation_id, split_part(picture ->> 'key', '/', 3) AS turn_id
        FROM conversation_messages AS message JOIN relatives USING (conversation_id),
             json_array_elements(message.attachments) AS picture
        WHERE message.owner_id = %(owner)s
    ), named AS (
        SELECT turn_id FROM conversation_messages
        WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s
        UNION
        SELECT turn_id FROM pictures WHERE conversation_id = %(conversation)s
    )
    SELECT turn_id FROM named
    WHERE turn_id NOT IN (SELECT turn_id FROM pictures WHERE conversation_id <> %(conversation)s)
    ORDER BY turn_id
"""
_MEDIUM = (
    f"SELECT {_REFERENCE}, status FROM media_objects WHERE media_id = %(medium)s AND owner_id = %(owner)s"  # noqa: S608 (our own words)
)
_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")


async def delete_conversation(services: Services, owner: str, conversation_id: str, *, force: bool) -> bool:
    """Returns whether readers see it; what was deleted before is a success. Raises ApiError 404, 409 and what means
    that a server is away."""
    try:
        channel = await channel_of(services, owner, conversation_id)
    except ApiError as error:
        # Asked afterwards, so that a deletion which is stored meanwhile is seen by one of the two.
        if error.status == 404 and await _is_deleted(services, owner, conversation_id):
            return True
        raise
    if not force:
        heirs = await _heirs(services, owner, conversation_id)
        _refuse(heirs, "This conversation", "its part of them will be gone")
    values = {"conversation": conversation_id, "owner": owner}
    rows = await _rows(services, _MEDIA, values)
    turns = tuple(row["turn_id"] for row in await _rows(services, _TURNS, values))
    # The agent removes what lies under the turn of a medium, too.
    media = tuple(
        _reference(services, row if row["turn_id"] in turns else row | {"turn_id": None}) for row in rows
    )
    await send(services, owner, conversation_id, DeleteConversation(media=media, turn_ids=turns))
    tables = ("conversations", "conversation_messages", "media_objects", "gallery", "search")
    return await seen(services, channel, lambda state: state.deleted, tables)


async def delete_medium(services: Services, owner: str, media_id: str, *, force: bool) -> bool:
    """Returns whether readers see it; what was deleted before is a success. Raises ApiError 404, 409 and what means
    that a server is away."""
    values = {"medium": media_id, "owner": owner}
    found = await _rows(services, _MEDIUM, values) if _ID.fullmatch(media_id) else []
    if not found:
        raise not_found("medium")
    row = found[0]
    if row["status"] == "deleted":
        return True
    conversation_id = row["conversation_id"]
    channel = await channel_of(services, owner, conversation_id)
    if not force:
        heirs = await _heirs(services, owner, conversation_id, row["turn_id"], row["model_id"])
        _refuse(heirs, "This medium", "it will be gone there too")
    await send(services, owner, conversation_id, RemoveMedia(media=(_reference(services, row),)))

    def gone(state: ConversationState) -> bool:
        medium = state.media.get(media_id)
        return state.deleted or (medium is not None and medium.phase == "deleted")

    return await seen(services, channel, gone, ("conversation_messages", "media_objects", "gallery"))


async def _is_deleted(services: Services, owner: str, conversation_id: str) -> bool:
    if not _ID.fullmatch(conversation_id):
        return False
    statement = (
        "SELECT deleted FROM conversations WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s"
    )
    rows = await _rows(services, statement, {"conversation": conversation_id, "owner": owner})
    return bool(rows and rows[0]["deleted"])


async def _heirs(
    services: Services, owner: str, conversation_id: str, turn_id: str | None = None, model: str | None = None
) -> list[dict[str, Any]]:
    values = {"conversation": conversation_id, "owner": owner, "turn": turn_id, "model": model}
    with suppress(TimeoutError):  # while no runner runs nobody can tell
        async with asyncio.timeout(SEEN_WITHIN_S):
            while await _rows(services, _BEGUN, values):  # noqa: ASYNC110 (the state of other processes)
                await asyncio.sleep(ASK_EVERY_S)
    return await _rows(services, _HEIRS, values)


def _refuse(heirs: list[dict[str, Any]], what: str, consequence: str) -> None:
    """Raises ApiError 409 where there are any."""
    if not heirs:
        return
    others = "another conversation" if len(heirs) == 1 else f"{len(heirs)} other conversations"
    raise ApiError(
        409,
        "has_branches",
        f"{what} is shown in {others}, and {consequence}; delete it all the same with ?force=true.",
        conversations=heirs[:MOST_NAMED],
        count=len(heirs),
    )


async def _rows(
    services: Services, statement: LiteralString, values: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    async with services.pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(statement, values)
        return await rows.fetchall()


def _reference(services: Services, row: dict[str, Any]) -> MediumRef:
    return MediumRef(
        media_id=row["media_id"],
        media_type=row["media_type"],
        conversation_id=row["conversation_id"],
        owner_id=row["owner_id"],
        answer_partition=services.partition_of(row["conversation_id"]),
        key=row["key"],
        turn_id=row["turn_id"],
        response_id=row["response_id"],
        model=row["model_id"],
        size_bytes=row["size_bytes"],
    )
