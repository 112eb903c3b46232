"""One medium as the tables hold it, and what its state means in words."""

from __future__ import annotations

import re
from typing import Any

from psycopg.rows import dict_row

from polylogue.api.errors import ApiError, not_found
from polylogue.api.lineage import Row
from polylogue.api.submissions import Pool
from polylogue.api.times import shown

_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")
_MEDIUM = """
    SELECT o.media_id, o.media_type AS type, o.status, o.conversation_id, o.turn_id, o.response_id, o.model_id, o.format,
           o.content_type, o.declared_content_type, o.size_bytes, o.sha256, o.width, o.height, o.duration_ms, o.reason,
           o.message, o.position, o.created_at, o.updated_at, o.key, g.renditions
    FROM media_objects AS o LEFT JOIN gallery_items AS g ON g.media_id = o.media_id
    WHERE o.media_id = %s AND o.owner_id = %s
"""
_WORDS = {
    "generating": "The provider is still making it.",
    "uploading": "It is being stored.",
    "stored": None,
    "refused": "It was not taken.",
    "rejected": "Its bytes were not acceptable.",
    "failed": "It could not be stored.",
    "expired": "It was kept as long as media are kept here, and then removed.",
    "deleted": "It was deleted.",
}
_DELETED_WITH = frozenset({None, "conversation_deleted"})


async def medium(pool: Pool, owner: str, media_id: str) -> Row:
    """Raises ApiError 404."""
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        found = None
        if _ID.fullmatch(media_id):
            found = await (await rows.execute(_MEDIUM, (media_id, owner))).fetchone()
    if found is None:
        raise not_found("medium")
    found["message"] = explained(found)
    found["renditions"] = [one for one in found["renditions"] or () if one.get("key")]
    return found


def explained(row: Row) -> str | None:
    """What the state of a medium means, in a sentence; None where it is simply there."""
    if row["status"] == "deleted" and row["reason"] in _DELETED_WITH:
        return "The conversation that it belonged to was deleted."
    return row["message"] or _WORDS[row["status"]]


def unless_stored(row: Row) -> None:
    """Raises ApiError where there is no file to be had: 409 while it may still come, 410 where it was and is gone."""
    status, sentence = row["status"], row["message"]
    more: dict[str, Any] = {"media_status": status, "reason": row["reason"]}
    match status:
        case "stored":
            return
        case "expired" | "deleted":
            at = shown(row["updated_at"])
            detail = f"This medium was {status} on {at[:10]} at {at[11:16]} UTC. {sentence}"
            raise ApiError(410, f"media_{status}", detail, at=at, **more)
        case "generating" | "uploading":
            raise ApiError(409, "media_not_ready", f"This medium is not there yet. {sentence}", **more)
    raise ApiError(409, "media_not_stored", f"This medium was not stored. {sentence}", **more)
