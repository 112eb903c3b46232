"""Where a conversation lies in the log and what is known of its turns: the look-ups before a stream or a turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from polylogue.api.submissions import Pool

PENDING_S = 60.0  # what nothing was heard of for so long does not block what comes next


@dataclass(frozen=True)
class TurnPlace:
    floor: int  # a lower bound of the turn's start
    round_floor: int  # a lower bound of the start of its last round
    round: int = 1
    # The highest that were submitted, begun or not; the tables may know of higher ones.
    last_round: int = 1
    last_response: int = 0
    pending: bool = False  # its last round has been submitted, and the projection has not seen it
    finished: bool = False


@dataclass(frozen=True)
class ConversationPlace:
    first_offset: int  # a lower bound of its first event
    safe_start: int  # a lower bound of the start of its oldest unfinished round, else of its last one
    turns: dict[str, TurnPlace]  # in order of their start
    projected: bool = True  # the projection has seen it begin

    def with_round(self, turn_id: str, number: int, floor: int) -> ConversationPlace:
        """With a round of a turn that has just been submitted."""
        turn = self.turns.get(turn_id, TurnPlace(floor, floor))
        turn = replace(turn, round_floor=floor, round=number, pending=True, finished=False)
        return replace(self, safe_start=min(self.safe_start, floor), turns=self.turns | {turn_id: turn})


class Places:
    """Look-ups that all who ask for the same at the same time share."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._running: dict[tuple[str, str], asyncio.Task[ConversationPlace | None]] = {}

    async def shared(self, owner: str, conversation_id: str) -> ConversationPlace | None:
        key = (owner, conversation_id)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(locate(self._pool, owner, conversation_id))
            running.add_done_callback(lambda task: self._forget(key, task))
        return await asyncio.shield(running)

    def _forget(self, key: tuple[str, str], task: asyncio.Task[ConversationPlace | None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # those who asked may all have gone


_TURNS = """
    SELECT turn_id, coalesce(first_offset, start_offset), start_offset, round, finished FROM conversation_turns
    WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s ORDER BY 2
"""
_SUBMITTED = """
    SELECT turn_id, round, coalesce(events_offset, 0), last_response,
           extract(epoch FROM now() - first_sent_at)::float
    FROM submissions WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s ORDER BY first_sent_at, round
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
        projected = await (await connection.execute(_TURNS, values)).fetchall()
        submitted = await (await connection.execute(_SUBMITTED, values)).fetchall()
    if row is None and not submitted and not projected:
        return None
    turns = {
        turn_id: TurnPlace(int(first), int(start), int(number), finished=finished)
        for turn_id, first, start, number, finished in projected
    }
    for turn_id, number, floor, last_response, since_s in submitted:
        if number == 0:
            continue  # a conversation that began without a turn
        known = turns.get(turn_id)
        if known is None:
            known = TurnPlace(floor, floor, number, pending=since_s < PENDING_S)
        elif number > known.round and since_s < PENDING_S:
            known = replace(known, round_floor=floor, round=number, pending=True, finished=False)
        turns[turn_id] = replace(
            known,
            last_round=max(number, known.last_round),
            last_response=max(last_response, known.last_response),
        )
    floors = [floor for _, _, floor, _, _ in submitted]
    first = int(row[0]) if row is not None else min([*floors, *(turn.floor for turn in turns.values())])
    # With the last finished turn, so that ids are the same whichever process makes them.
    ended = [turn.round_floor for turn in turns.values() if turn.finished]
    safe = [turn.round_floor for turn in turns.values() if not turn.finished] + (
        [max(ended)] if ended else []
    )
    return ConversationPlace(
        first_offset=first,
        safe_start=min(safe, default=first),
        turns=turns,
        projected=row is not None,
    )
