"""Conversations as the projections hold them, with URLs made for this reader now."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from polylogue.api import keyset
from polylogue.api.framing import UrlFor
from polylogue.api.lineage import Row, family
from polylogue.api.remarks import add_remarks
from polylogue.api.submissions import Pool
from polylogue.api.times import timed

_LISTED = """conversation_id, title, pinned, last_turn_id, turn_running, parent_conversation_id, parent_turn_id,
    parent_model_id, created_at, updated_at"""
_AFTER = "AND updated_at <= %(at)s AND (updated_at < %(at)s OR conversation_id > %(id)s)"


async def page(
    pool: Pool, owner: str, limit: int, cursor: str | None, *, pinned: bool | None = None
) -> dict[str, Any]:
    """Keyset pages: what changes meanwhile moves to the front and is neither lost nor doubled within a page.

    In the order of the index, so that a page costs the same however many there are; pinned ones alone are looked for
    among all of the owner's.
    """
    at, after_id = keyset.read(cursor) if cursor else (None, None)
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(
            f"""SELECT {_LISTED} FROM conversations WHERE owner_id = %(owner)s AND NOT deleted
                {_AFTER if cursor else ""} {"" if pinned is None else "AND pinned = %(pinned)s"}
                ORDER BY updated_at DESC, conversation_id LIMIT %(limit)s""",  # noqa: S608 (our own words)
            {"owner": owner, "at": at, "id": after_id, "limit": limit + 1, "pinned": pinned},
        )
        found = await rows.fetchall()
    shown = found[:limit]
    following = (
        keyset.written(shown[-1]["updated_at"], shown[-1]["conversation_id"]) if len(found) > limit else None
    )
    return {"conversations": [_listed(row) for row in shown], "next_cursor": following}


async def conversation(
    pool: Pool, owner: str, conversation_id: str, url_for: UrlFor
) -> dict[str, Any] | None:
    """With the turns that it shares with its parents, which are marked as `inherited`."""
    async with pool.connection() as connection:
        found = await family(connection, owner, conversation_id)
        if found is None:
            return None
        head, turns = found
        await add_remarks(connection, owner, turns)
    told = {name: value for name, value in head.items() if name not in ("generation", "deleted")}
    return _listed(told) | {
        "turns": [
            timed(turn) | {"messages": [_shown(message, url_for) for message in turn["messages"]]}
            for turn in turns
        ]
    }


def just_submitted(conversation_id: str, *, running: bool) -> dict[str, Any]:
    """A conversation that no event has told of yet."""
    status = "running" if running else "idle"
    return {"conversation_id": conversation_id, "status": status, "turn_running": running, "turns": []}


def _shown(message: Row, url_for: UrlFor) -> Row:
    """The stored URL is of the day it was stored; the key is for ever."""
    for medium in message["media_urls"] or ():
        show_medium(medium, url_for)
    for picture in message["attachments"] or ():
        picture["url"] = url_for(picture["key"])
    return timed(message)


def show_medium(medium: Row, url_for: UrlFor) -> None:
    """What is expired or deleted has its status and no URL, which nothing would answer."""
    open_ = medium.get("status") == "stored"
    if medium.get("key"):
        medium["url"] = url_for(medium["key"]) if open_ else None
    if medium.get("media_id"):
        medium["content"] = f"/api/v1/media/{medium['media_id']}/content"
    for rendition in medium.get("renditions") or ():
        rendition["url"] = url_for(rendition["key"]) if open_ else None


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return timed(row) | {"status": "running" if row["turn_running"] else "idle"}
