"""Conversations as the projections hold them, with URLs made for this reader now."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from polylogue.api.errors import ApiError
from polylogue.api.framing import UrlFor
from polylogue.api.lineage import Row, family
from polylogue.api.submissions import Pool

_LISTED = """conversation_id, title, pinned, last_turn_id, turn_running, parent_conversation_id, parent_turn_id,
    parent_model_id, created_at, updated_at"""
_AFTER = "AND (updated_at, conversation_id) < (%(at)s, %(id)s)"


async def page(pool: Pool, owner: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Keyset pages: what changes meanwhile moves to the front and is neither lost nor doubled within a page."""
    at, after_id = _read(cursor) if cursor else (None, None)
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(
            f"""SELECT {_LISTED} FROM conversations WHERE owner_id = %(owner)s AND NOT deleted
                {_AFTER if cursor else ""} ORDER BY updated_at DESC, conversation_id DESC LIMIT %(limit)s""",  # noqa: S608 (our own words)
            {"owner": owner, "at": at, "id": after_id, "limit": limit + 1},
        )
        found = await rows.fetchall()
    shown = found[:limit]
    following = _written(shown[-1]) if len(found) > limit else None
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
    return _listed({name: value for name, value in head.items() if name != "generation"}) | {
        "turns": [
            _timed(turn) | {"messages": [_shown(message, url_for) for message in turn["messages"]]}
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
        if medium.get("key"):
            medium["url"] = url_for(medium["key"])
    for picture in message["attachments"] or ():
        picture["url"] = url_for(picture["key"])
    return _timed(message)


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return _timed(row) | {"status": "running" if row["turn_running"] else "idle"}


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


def _written(row: dict[str, Any]) -> str:
    text = f"{row['updated_at'].astimezone(UTC).isoformat()} {row['conversation_id']}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, conversation_id = text.partition(" ")
        return datetime.fromisoformat(at), conversation_id.replace("\0", "")
    except (ValueError, binascii.Error):
        raise ApiError(400, "bad_cursor", "The cursor is malformed; use next_cursor as it came.") from None
