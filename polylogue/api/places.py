"""Where a conversation lies in the log and what is known of its turns: the look-ups before a stream or a turn."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polylogue.api.submissions import Pool


@dataclass(frozen=True)
class ConversationPlace:
    first_offset: int  # a lower bound of its first event
    safe_start: int  # a lower bound of the start of its oldest unfinished turn, else of its last one
    unfinished: frozenset[str]  # turns that the projection has not seen the end of
    pending_since_s: dict[
        str, float
    ]  # of those, the ones it has not seen at all: seconds since they were sent
    turn_floors: dict[str, int]  # turn → a lower bound of its start

    def with_turn(self, turn_id: str, floor: int) -> ConversationPlace:
        """With a turn that has just been submitted."""
        return replace(
            self,
            safe_start=min(self.safe_start, floor),
            unfinished=self.unfinished | {turn_id},
            turn_floors=self.turn_floors | {turn_id: floor},
        )


_TURNS = """
    SELECT coalesce(t.turn_id, s.turn_id),
           least(t.start_offset, s.events_offset),
           coalesce(t.finished, false),
           t.turn_id IS NULL,
           extract(epoch FROM now() - s.first_sent_at)::float
    FROM (SELECT turn_id, start_offset, finished FROM conversation_turns
          WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s) t
    FULL JOIN (SELECT turn_id, events_offset, first_sent_at FROM submissions
               WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s) s USING (turn_id)
"""


async def locate(pool: Pool, owner: str, conversation_id: str) -> ConversationPlace | None:
    """None where the owner has no such conversation."""
    values = {"conversation": conversation_id, "owner": owner}
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT first_offset, deleted FROM conversations "
            "WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s",
            values,
        )
        row = await cursor.fetchone()
        if row is not None and row[1]:
            return None
        turns = await (await connection.execute(_TURNS, values)).fetchall()
    if row is None and not turns:
        return None
    floors = {turn_id: int(floor or 0) for turn_id, floor, *_ in turns}
    unfinished = frozenset(turn_id for turn_id, _, finished, *_ in turns if not finished)
    first = int(row[0]) if row is not None else min(floors.values())
    ended = [floor for turn_id, floor in floors.items() if turn_id not in unfinished]
    # With the last finished turn, so that ids are the same whichever process makes them.
    safe = [floors[turn_id] for turn_id in unfinished] + ([max(ended)] if ended else [])
    return ConversationPlace(
        first_offset=first,
        safe_start=min(safe, default=first),
        unfinished=unfinished,
        pending_since_s={turn_id: since or 0.0 for turn_id, _, _, unseen, since in turns if unseen},
        turn_floors=floors,
    )
