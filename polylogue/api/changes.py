"""Changes of a conversation that are no prompt: written as commands, and waited for until every reader sees them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import psycopg
import psycopg_pool

from polylogue.api import trace
from polylogue.api.channel import Channel
from polylogue.api.command_log import OutcomeUnknownError
from polylogue.api.errors import ApiError, not_found
from polylogue.api.projected import until_projected
from polylogue.api.requests import ConversationChange, Rating
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.infra.logs import get_logger
from polylogue.schemas.base import Payload
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.commands import PinConversation, RateAnswer, RenameConversation
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Command
from polylogue.schemas.events import AnswerRated, ConversationPinned, ConversationRenamed

# The runner, the log and the tables take some ten milliseconds together. Whoever waits longer is told that the change
# is on its way, which it is: the command is in the log.
SEEN_WITHIN_S = 3.0

_ANSWERS = """
    SELECT message_id FROM conversation_messages
    WHERE conversation_id = %s AND turn_id = %s AND owner_id = %s AND role = 'assistant'
"""
log = get_logger("polylogue.api.changes")


async def channel_of(services: Services, owner: str, conversation_id: str) -> Channel:
    """Raises ApiError 404 and what means that a server is away."""
    place = await placed(services, owner, conversation_id)
    partition = services.partition_of(conversation_id)
    return await services.hub.channel(conversation_id, partition, place.safe_start)


async def send(
    services: Services, owner: str, conversation_id: str, data: Payload, *, turn_id: str = ""
) -> int:
    """The offset of the command. Raises ApiError and KafkaAwayError."""
    now = now_ms()
    command = Command(
        command_id=uuid.uuid4().hex,
        conversation_id=conversation_id,
        turn_id=turn_id,
        owner_id=owner,
        issued_at=rfc3339(now),
        first_sent_at_ms=now,
        traceparent=trace.current(),
        data=data,
    )
    await services.commands.probe()
    try:
        return await services.commands.send(command, services.partition_of(conversation_id))
    except OutcomeUnknownError:
        raise ApiError(
            503,
            "outcome_unknown",
            "Kafka did not confirm the change in time; asking again is safe.",
            conversation_id=conversation_id,
        ) from None


async def seen(
    services: Services,
    channel: Channel,
    happened: Callable[[ConversationState], bool],
    projections: tuple[str, ...],
) -> bool:
    """Whether the stream and the named tables show it within `SEEN_WITHIN_S`."""
    channel.subscribers += 1  # so that it is not evicted meanwhile
    try:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while not happened(channel.state):
                await channel.news()
            await until_projected(services, channel.partition, channel.last_offset, projections)
    except TimeoutError:
        return False
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        log.warning("a change was sent and could not be looked for", error=type(error).__name__)
        return False
    finally:
        channel.subscribers -= 1
        channel.idle_since = services.hub.now()
    return True


async def change_conversation(
    services: Services, owner: str, conversation_id: str, change: ConversationChange
) -> bool:
    """Renames and pins; returns whether readers see it. Raises ApiError and what means that a server is away."""
    if change.title is None and change.pinned is None:
        raise ApiError(400, "nothing_to_change", "Nothing was to be changed; give title or pinned.")
    channel = await channel_of(services, owner, conversation_id)
    offsets: dict[str, int] = {}
    if change.title is not None:
        renamed = RenameConversation(title=change.title)
        offsets[ConversationRenamed.__name__] = await send(services, owner, conversation_id, renamed)
    if change.pinned is not None:
        pinned = PinConversation(pinned=change.pinned)
        offsets[ConversationPinned.__name__] = await send(services, owner, conversation_id, pinned)
    return await told(services, channel, offsets, ("conversations",))


async def rate(services: Services, owner: str, conversation_id: str, turn_id: str, rating: Rating) -> bool:
    """Replaces the turn's rating; returns whether readers see it. Raises ApiError and what means that a server is away."""
    channel = await channel_of(services, owner, conversation_id)
    if "\0" in turn_id:  # no table holds it, and what is left without it would be another turn
        raise not_found("turn")
    values = (conversation_id, turn_id, owner)
    async with services.pool.connection() as connection:
        rows = await (await connection.execute(_ANSWERS, values)).fetchall()
    answers = {row[0] for row in rows}
    if not answers:
        raise not_found("turn")
    named = {rating.best_response_id} - {None} | set(rating.thumbs)
    if strangers := sorted(str(one) for one in named - answers):
        raise ApiError(400, "not_in_turn", f"The turn has no response {strangers[0][:100]}.")
    data = RateAnswer(best_response_id=rating.best_response_id, thumbs=rating.thumbs, note=rating.note)
    offset = await send(services, owner, conversation_id, data, turn_id=turn_id)
    return await told(services, channel, {AnswerRated.__name__: offset}, ("model_stats", "turn_notes"))


async def told(
    services: Services, channel: Channel, offsets: dict[str, int], projections: tuple[str, ...]
) -> bool:
    """Whether readers see the events of these commands. Raises ApiError 404 where a deletion was faster."""

    def happened(state: ConversationState) -> bool:
        return state.deleted or all(
            state.command_offsets.get(name, -1) >= offset for name, offset in offsets.items()
        )

    shown = await seen(services, channel, happened, projections)
    if channel.state.deleted:
        raise not_found()
    return shown
