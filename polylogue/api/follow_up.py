"""How a conversation stands before its next round: nothing of it runs, and the tables hold all that was said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from polylogue.api.channel import Channel
from polylogue.api.errors import ApiError, not_found, turn_running
from polylogue.api.lineage import Row, family
from polylogue.api.places import ConversationPlace
from polylogue.api.services import Services
from polylogue.api.streams import placed

PROJECTED_S = 5.0  # the projection is milliseconds behind the log; more means that it stands still
ASK_EVERY_S = 0.05
TAIL_S = 0.3  # the tail is milliseconds behind the log

# Both write what a history is made of, each with a checkpoint of its own; readers see the promoted version of each.
_BEHIND = """
    SELECT count(*) < 2 FROM (
        SELECT projection FROM projection_checkpoints JOIN projection_versions USING (projection, version)
        WHERE state = 'promoted' AND projection IN ('conversations', 'conversation_messages')
          AND "partition" = %s AND log_id = %s AND next_offset > %s
    ) AS passed
"""


@dataclass(frozen=True)
class Standing:
    place: ConversationPlace
    head: Row
    turns: list[dict[str, Any]]
    """With those that it shares with its parents."""

    def own_turn(self, turn_id: str) -> Row:
        """Raises ApiError 404."""
        for turn in self.turns:
            if turn["turn_id"] == turn_id and not turn["inherited"]:
                return turn
        raise not_found("turn")


async def standing(services: Services, owner: str, conversation_id: str) -> Standing:
    """Raises ApiError 404, 409 while a turn runs, 503 where the tables are not up to date in time."""
    place = await placed(services, owner, conversation_id)
    partition = services.partition_of(conversation_id)
    channel = await services.hub.channel(conversation_id, partition, place.safe_start)
    await _idle(channel, place)
    try:
        async with asyncio.timeout(PROJECTED_S):
            while not place.projected or await _behind(services, partition, channel.last_offset):
                await asyncio.sleep(ASK_EVERY_S)
                place = await placed(services, owner, conversation_id)
    except TimeoutError:
        raise ApiError(
            503, "history_not_ready", "The last turn of this conversation is not stored yet."
        ) from None
    # Rounds are numbered by what is read here: one that another request has begun meanwhile must not count as past.
    place = await placed(services, owner, conversation_id)
    if _running(channel, place):
        raise turn_running()
    async with services.pool.connection() as connection:
        found = await family(connection, owner, conversation_id)
    if found is None:
        raise not_found()
    return Standing(place, *found)


async def _idle(channel: Channel, place: ConversationPlace) -> None:
    """Raises ApiError 409."""
    try:
        # Whoever saw the end of the turn elsewhere may be here before our tail has brought it.
        async with asyncio.timeout(TAIL_S):
            while _running(channel, place):
                await channel.news()
    except TimeoutError:
        raise turn_running() from None


def _running(channel: Channel, place: ConversationPlace) -> bool:
    if channel.state.running_turn() is not None:
        return True
    return any(
        turn.pending and not channel.turn_finished(turn_id, turn.round_floor, turn.round)
        for turn_id, turn in place.turns.items()
    )


async def _behind(services: Services, partition: int, offset: int) -> bool:
    values = (partition, services.hub.log_ids.get(partition), offset)
    async with services.pool.connection() as connection:
        row = await (await connection.execute(_BEHIND, values)).fetchone()
    return row is None or bool(row[0])
