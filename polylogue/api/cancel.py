"""Stopping models: which turn and which of its responses are meant, and the command that says so."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from polylogue.api import trace
from polylogue.api.channel import Channel
from polylogue.api.command_log import OutcomeUnknownError
from polylogue.api.errors import ApiError, not_found
from polylogue.api.places import ConversationPlace
from polylogue.api.requests import CancelRequest
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.commands import CancelTurn
from polylogue.schemas.envelope import Command

BEGIN_S = 2.0  # a turn that was just submitted begins within milliseconds


async def cancel_turn(
    services: Services, owner: str, conversation_id: str, request: CancelRequest
) -> dict[str, Any]:
    """Raises ApiError and what means that a server is away."""
    place = await placed(services, owner, conversation_id)
    channel = await services.hub.channel(
        conversation_id, services.partition_of(conversation_id), place.safe_start
    )
    turn_id = request.turn_id or channel.state.running_turn() or _last(place, channel)
    if turn_id is None:
        return _answer(conversation_id, None, None)  # a breakout that nothing was asked in yet
    turn = place.turns.get(turn_id)
    if turn is None and turn_id not in channel.state.turns:
        raise not_found("turn")
    floor, number = (turn.round_floor, turn.round) if turn else (None, 1)
    if channel.turn_finished(turn_id, floor, number):
        return _answer(conversation_id, turn_id, None)
    responses = await _responses(channel, turn_id, number, request)
    if responses is None:
        return _answer(conversation_id, turn_id, None)
    await _send(services, owner, conversation_id, turn_id, responses)
    return _answer(conversation_id, turn_id, responses)


async def _responses(
    channel: Channel, turn_id: str, number: int, request: CancelRequest
) -> tuple[str, ...] | None:
    """The responses to stop; empty means all of them, None that all that were named have ended."""
    if not request.response_ids and request.model is None:
        return ()
    await _begun(channel, turn_id, number)
    known = {key: one for key, one in channel.state.responses.items() if one.turn_id == turn_id}
    if unknown := set(request.response_ids) - set(known):
        raise ApiError(404, "not_found", f"The turn has no response {min(unknown)[:100]}.")
    named = [
        key
        for key, one in known.items()
        if not one.ended and (key in request.response_ids or one.model == request.model)
    ]
    return tuple(named) or None


def _last(place: ConversationPlace, channel: Channel) -> str | None:
    return next(reversed(place.turns), None) or next(reversed(channel.state.turns), None)


async def _begun(channel: Channel, turn_id: str, number: int) -> None:
    try:
        async with asyncio.timeout(BEGIN_S):
            while (turn := channel.state.turns.get(turn_id)) is None or turn.round < number:
                await channel.news()
    except TimeoutError:
        raise ApiError(
            409, "not_started", "The turn has not begun yet; stop all of it, or try again."
        ) from None


async def _send(
    services: Services, owner: str, conversation_id: str, turn_id: str, responses: tuple[str, ...]
) -> None:
    now = now_ms()
    command = Command(
        command_id=uuid.uuid4().hex,
        conversation_id=conversation_id,
        turn_id=turn_id,
        owner_id=owner,
        issued_at=rfc3339(now),
        first_sent_at_ms=now,
        traceparent=trace.current(),
        data=CancelTurn(response_ids=responses),
    )
    await services.commands.probe()
    try:
        await services.commands.send(command, services.partition_of(conversation_id))
    except OutcomeUnknownError:
        raise ApiError(
            503,
            "outcome_unknown",
            "Kafka did not confirm the stop in time; asking again is safe.",
            conversation_id=conversation_id,
            turn_id=turn_id,
        ) from None


def _answer(conversation_id: str, turn_id: str | None, responses: tuple[str, ...] | None) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "turn_id": turn_id,
        "stopping": responses is not None,
        "response_ids": list(responses or ()),
    }
