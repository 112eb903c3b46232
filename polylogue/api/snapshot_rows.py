"""The responses of finished turns as a snapshot shows them, from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from polylogue.api.framing import UrlFor
from polylogue.api.snapshot import Told
from polylogue.api.submissions import Pool
from polylogue.schemas import frames

_PLACES_A_ROUND = (
    1000  # between the positions of two rounds of a turn, as `conversation_messages` counts them
)

_ENDED = """
    SELECT message.message_id, message.turn_id, message.model_id, message.content, message.reasoning, message.status,
        (SELECT json_agg(json_build_object(
            'media_id', media_id, 'type', type, 'status', status, 'key', key, 'format', format,
            'content_type', content_type, 'size_bytes', size_bytes, 'width', width, 'height', height,
            'duration_ms', duration_ms, 'renditions', renditions) ORDER BY position, media_id)
         FROM conversation_message_media AS medium WHERE medium.message_id = message.message_id) AS media
    FROM conversation_messages AS message
    JOIN conversation_turns AS turn
        ON turn.conversation_id = message.conversation_id AND turn.turn_id = message.turn_id
    WHERE message.conversation_id = %(conversation)s AND message.owner_id = %(owner)s
        AND message.role = 'assistant' AND message.status IN ('completed', 'failed', 'cancelled')
        AND message.message_id <> ALL(%(running)s)
        AND (%(turn)s::text IS NULL OR message.turn_id = %(turn)s)
        -- The tables may be ahead of the place that the snapshot stands for.
        AND coalesce(turn.first_offset, turn.start_offset) <= %(offset)s
        AND (message.position - 1) / %(places)s + 1
            <= CASE WHEN turn.start_offset <= %(offset)s THEN turn.round ELSE turn.round - 1 END
    ORDER BY coalesce(turn.first_offset, turn.start_offset), message.position
"""


async def ended(
    pool: Pool,
    owner: str,
    conversation_id: str,
    offset: int,
    *,
    running: Sequence[str],
    turn_id: str | None,
    url_for: UrlFor,
) -> list[Told]:
    """The other responses whose round had begun by `offset`; the tables must have passed it."""
    values = {
        "conversation": conversation_id,
        "owner": owner,
        "offset": offset,
        "running": list(running),
        "turn": turn_id,
        "places": _PLACES_A_ROUND,
    }
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(_ENDED, values)
        found = await rows.fetchall()
    return [
        Told(
            turn_id=row["turn_id"],
            response_id=row["message_id"],
            model=row["model_id"] or "",
            content=row["content"],
            reasoning=row["reasoning"] or "",
            media=tuple(_stored_medium(medium, url_for) for medium in row["media"] or ()),
            status=row["status"],
        )
        for row in found
    ]


def _stored_medium(row: dict[str, Any], url_for: UrlFor) -> frames.SnapshotMedium:
    shown = row["status"] == "stored"
    return frames.SnapshotMedium(
        media_id=row["media_id"],
        media_type=row["type"],
        # Its reader knows one way of failing.
        status="failed" if row["status"] == "rejected" else row["status"],
        url=url_for(row["key"]) if shown else None,
        format=row["format"],
        content_type=row["content_type"],
        size_bytes=row["size_bytes"],
        width=row["width"],
        height=row["height"],
        duration_ms=row["duration_ms"],
        renditions=tuple(
            frames.FrameRendition(
                name=one["name"],
                url=url_for(one["key"]),
                content_type=one["content_type"],
                size_bytes=one["size_bytes"],
                width=one.get("width"),
                height=one.get("height"),
            )
            for one in row["renditions"]
        )
        if shown and row["renditions"]
        else None,
    )
