"""How a conversation stands before its next turn: nothing of it runs, and the history of it is complete."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from polylogue.api.channel import Channel
from polylogue.api.errors import ApiError
from polylogue.api.places import ConversationPlace
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.api.submissions import Pool, Submission
from polylogue.schemas.commands import HistoryMessage

PENDING_S = 60.0  # a turn that nothing was heard of for so long does not block the next one
PROJECTED_S = 5.0  # the projection is milliseconds behind the log; more means that it stands still
ASK_EVERY_S = 0.05

_HISTORY = """
    SELECT m.role, m.content, m.model_id FROM conversation_messages m
    JOIN conversation_turns t USING (turn_id)
    WHERE m.conversation_id = %(conversation)s AND m.owner_id = %(owner)s AND m.content <> ''
      AND t.finished AND t.turn_id IS DISTINCT FROM %(without)s
    ORDER BY t.start_offset, t.turn_id, m.role = 'assistant', m.position
"""


@dataclass(frozen=True)
class Standing:
    place: ConversationPlace
    history: tuple[HistoryMessage, ...]


async def standing(
    services: Services, owner: str, conversation_id: str, *, submitted: Submission | None = None
) -> Standing:
    """Raises ApiError 404, 409 while a turn runs, 503 where the history is not complete in time.

    `submitted`: the turn that is sent again, and of course neither blocks itself nor is its own history.
    """
    place = await placed(services, owner, conversation_id)
    channel = await services.hub.channel(
        conversation_id, services.partition_of(conversation_id), place.safe_start
    )
    mine = submitted.turn_id if submitted else None
    if _running(channel, place, mine):
        raise ApiError(409, "turn_running", "A turn of this conversation is still running.")
    try:
        async with asyncio.timeout(PROJECTED_S):
            while any(turn in channel.state.turns for turn in place.unfinished - {mine}):
                await asyncio.sleep(ASK_EVERY_S)
                place = await placed(services, owner, conversation_id)
    except TimeoutError:
        raise ApiError(
            503, "history_not_ready", "The last turn of this conversation is not stored yet."
        ) from None
    return Standing(place, await _history(services.pool, owner, conversation_id, mine))


def _running(channel: Channel, place: ConversationPlace, mine: str | None) -> bool:
    if channel.state.running_turn() not in (None, mine):
        return True
    return any(
        since_s < PENDING_S
        for turn_id, since_s in place.pending_since_s.items()
        if turn_id != mine and turn_id not in channel.state.turns
    )


async def _history(
    pool: Pool, owner: str, conversation_id: str, without: str | None
) -> tuple[HistoryMessage, ...]:
    values = {"conversation": conversation_id, "owner": owner, "without": without}
    async with pool.connection() as connection:
        rows = await (await connection.execute(_HISTORY, values)).fetchall()
    return tuple(HistoryMessage(role=role, content=content, model=model) for role, content, model in rows)
