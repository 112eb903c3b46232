"""What is to be said of a conversation's answers beside what they hold: their ratings, and which media are not there, or not yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from polylogue.api.lineage import Row
from polylogue.api.media_rows import explained

_RATED = """
    SELECT turn_id, response_id, won, thumbs_up, thumbs_down FROM answer_ratings
    WHERE response_id = ANY(%(responses)s) AND owner_id = %(owner)s AND won + thumbs_up + thumbs_down > 0
"""
_NOTES = """
    SELECT turn_id, note FROM turn_notes WHERE turn_id = ANY(%(turns)s) AND owner_id = %(owner)s AND note IS NOT NULL
"""
_MISSING = """
    SELECT media_id, response_id, media_type AS type, status, reason, message FROM media_objects
    WHERE conversation_id = ANY(%(conversations)s) AND turn_id = ANY(%(turns)s) AND owner_id = %(owner)s
        AND status NOT IN ('stored', 'generating', 'uploading')
    ORDER BY response_id, position, media_id
"""
# The tables are filled each by itself: a turn may have ended in its own before its media have come to that of answers, and
# from there before the third says why there is none. A medium that is tried again has no outcome either.
_PENDING = """
    SELECT m.media_id, m.message_id, m.type, 'uploading' AS status FROM conversation_message_media AS m
    WHERE m.message_id = ANY(%(responses)s) AND m.url IS NULL AND (m.status = 'uploading' OR NOT EXISTS (
        SELECT FROM media_objects AS o WHERE o.media_id = m.media_id AND o.owner_id = %(owner)s
            AND o.status NOT IN ('stored', 'generating', 'uploading')))
    ORDER BY m.message_id, m.position, m.media_id
"""


async def add_remarks(connection: AsyncConnection[Any], owner: str, turns: list[Row]) -> None:
    """Gives each turn its `rating` (null where there is none), and each message its `missing_media` and `pending_media`."""
    # Each by what its table has an index of: else every row of the owner would be looked at.
    values = {
        "conversations": list({turn["conversation_id"] for turn in turns}),
        "turns": [turn["turn_id"] for turn in turns],
        "responses": [one["message_id"] for turn in turns for one in turn["messages"]],
        "owner": owner,
    }
    async with connection.cursor(row_factory=dict_row) as rows:
        rated = await (await rows.execute(_RATED, values)).fetchall()
        notes = await (await rows.execute(_NOTES, values)).fetchall()
        missing = await (await rows.execute(_MISSING, values)).fetchall()
        pending = await (await rows.execute(_PENDING, values)).fetchall()
    ratings = ratings_of(rated, notes)
    coming = {row["media_id"] for row in pending}
    why = [row | {"message": explained(row)} for row in missing if row["media_id"] not in coming]
    missing_of, pending_of = _by(why, "response_id"), _by(pending, "message_id")
    for turn in turns:
        turn["rating"] = ratings.get(turn["turn_id"])
        for message in turn["messages"]:
            message["missing_media"] = missing_of.get(message["message_id"], [])
            message["pending_media"] = pending_of.get(message["message_id"], [])


def _by(rows: Iterable[Row], name: str) -> dict[str, list[Row]]:
    """By the column of that name, which they lose."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.pop(name), []).append(row)
    return found


def ratings_of(rows: Iterable[Row], notes: Iterable[Row]) -> dict[str, Row]:
    """By turn, as `PUT …/rating` takes them."""
    found: dict[str, Row] = {}

    def of(turn_id: str) -> Row:
        return found.setdefault(turn_id, {"best_response_id": None, "thumbs": {}, "note": None})

    for row in notes:
        of(row["turn_id"])["note"] = row["note"]
    for row in rows:
        rating = of(row["turn_id"])
        if row["won"]:
            rating["best_response_id"] = row["response_id"]
        if row["thumbs_up"] or row["thumbs_down"]:
            rating["thumbs"][row["response_id"]] = "up" if row["thumbs_up"] else "down"
    return found
