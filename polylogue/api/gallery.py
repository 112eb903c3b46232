"""`GET /media`: the owner's stored media, the latest first, in keyset pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from psycopg.rows import dict_row

from polylogue.api import keyset
from polylogue.api.compare_stream import Working
from polylogue.api.framing import UrlFor
from polylogue.api.lineage import Row
from polylogue.api.parameters import Name
from polylogue.api.principal import Asking
from polylogue.api.stored import show_medium
from polylogue.api.times import FirstDay, LastDay, timed
from polylogue.schemas.base import MediaType

router = APIRouter(prefix="/media", tags=["media"])

LINE = 140  # characters of a prompt that say what was made with it, as in the web UI's alt texts

_ITEMS = """
    SELECT media_id, media_type AS type, status, format, content_type, size_bytes, sha256, width, height, duration_ms,
           key, renditions, conversation_id, turn_id, response_id, model_id, created_at,
           -- A line of it is shown, so that nobody reads a book for it. Null where the table of turns is behind.
           (SELECT left(turn.prompt, 1000) FROM conversation_turns AS turn
            WHERE turn.turn_id = item.turn_id AND turn.owner_id = %(owner)s) AS prompt
    FROM gallery_items AS item
    WHERE owner_id = %(owner)s AND status <> 'deleted'
      -- The gallery's table may be behind the one that knows of deletions.
      AND NOT EXISTS (SELECT FROM conversations AS c WHERE c.conversation_id = item.conversation_id AND c.deleted)
      AND (%(type)s::text IS NULL OR media_type = %(type)s)
      AND (%(model)s::text IS NULL OR model_id = %(model)s)
      AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)
      AND (%(status)s::text IS NULL OR status = %(status)s)
      AND (%(from)s::date IS NULL OR created_at >= %(from)s::date::timestamp AT TIME ZONE 'UTC')
      AND (%(to)s::date IS NULL OR created_at < (%(to)s::date + 1)::timestamp AT TIME ZONE 'UTC')
      AND (%(at)s::timestamptz IS NULL OR (created_at, media_id) < (%(at)s, %(id)s))
    ORDER BY created_at DESC, media_id DESC LIMIT %(limit)s
"""


@router.get("")
async def gallery(
    services: Working,
    asking: Asking,
    *,
    media_type: Annotated[MediaType | None, Query(alias="type")] = None,
    model: Name = None,
    conversation: Name = None,
    status: Annotated[Literal["stored", "expired"] | None, Query()] = None,
    from_: FirstDay = None,
    to: LastDay = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query()] = None,
) -> dict[str, Any]:
    """Media of all conversations; `next_cursor` asks for what follows. An expired one has no `url`."""
    at, after_id = keyset.read(cursor) if cursor else (None, None)
    values = {
        "owner": asking.owner,
        "type": media_type,
        "model": model,
        "conversation": conversation,
        "status": status,
        "from": from_,
        "to": to,
        "at": at,
        "id": after_id,
        "limit": limit + 1,
    }
    async with services.pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        found = await (await rows.execute(_ITEMS, values)).fetchall()
    shown = found[:limit]
    following = keyset.written(shown[-1]["created_at"], shown[-1]["media_id"]) if len(found) > limit else None
    return {"media": [_shown(item, services.url_for) for item in shown], "next_cursor": following}


def _shown(item: Row, url_for: UrlFor) -> Row:
    prompt = None if item["prompt"] is None else in_a_line(item["prompt"])
    item |= {"url": None, "renditions": item["renditions"] or [], "prompt": prompt}
    show_medium(item, url_for)
    return timed(item)


def in_a_line(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"
