"""From what `useChat` sends to a begun turn: a new one, another answer to the last one, or an edited one in a branch."""

from __future__ import annotations

from polylogue.api import submissions
from polylogue.api.ai_sdk import chats
from polylogue.api.ai_sdk.chats import TurnRef
from polylogue.api.ai_sdk.requests import Asked, ChatRequest
from polylogue.api.begin import Begun, Draft, begin
from polylogue.api.command_log import KafkaAwayError
from polylogue.api.offspring import branch
from polylogue.api.places import locate
from polylogue.api.requests import AddRequest, BranchRequest, CompareRequest, ModelOptions, digest
from polylogue.api.rounds import add
from polylogue.api.services import Services
from polylogue.api.submit import submit


async def ask(
    services: Services, owner: str, request: ChatRequest, asked: Asked, idempotency_key: str | None
) -> Begun:
    """Raises ApiError and what means that a server is away."""
    # With the body in it: what a repetition finds is no new chat any more, and would come to something else.
    key = None if idempotency_key is None else digest("ai-sdk", request, idempotency_key)
    earlier = await submissions.find(services.pool, owner, key) if key is not None else None
    if earlier is not None:
        begun = await begin(services, owner, key=key, digest=earlier.body_hash, draft=_withdrawn)
    else:
        begun = await _begun(services, owner, request, asked, key)
    turn = TurnRef(begun.submission.conversation_id, begun.submission.turn_id)
    await chats.remember(services.pool, owner, request.id, asked.message_id, turn)
    return begun


async def _withdrawn() -> Draft:
    """Raises KafkaAwayError: that is why an earlier request comes to nothing."""
    raise KafkaAwayError


async def _begun(
    services: Services, owner: str, request: ChatRequest, asked: Asked, key: str | None
) -> Begun:
    options = {name: getattr(request, name) for name in (*ModelOptions.model_fields, "max_cost_usd")}
    current = await chats.conversation_of(services.pool, owner, request.id)
    place = await locate(services.pool, owner, current) if current is not None else None
    known = await chats.turn_of(services.pool, owner, request.id, asked.message_id)
    if known is not None and place is not None and known.turn_id in await _turns(services, owner, known):
        again = request.trigger == "regenerate-message"
        if again and known.conversation_id == current and known.turn_id == next(reversed(place.turns)):
            more = AddRequest(models=[request.model], **options)
            return await add(services, owner, known, more, key, watch=True)
        edited = BranchRequest(
            input_data=asked.prompt,
            models=[request.model],
            attached_images=asked.pictures,
            system=asked.system,
            **options,
        )
        return await branch(services, owner, known, edited, key, watch=True)
    new = CompareRequest(
        input_data=asked.prompt,
        models=[request.model],
        conversation_id=current if place is not None else None,
        conversation_history=[] if place is not None else asked.history,
        attached_images=asked.pictures,
        system=asked.system,
        **options,
    )
    return await submit(services, owner, new, key)


async def _turns(services: Services, owner: str, turn: TurnRef) -> set[str]:
    """Of the conversation that the turn is in; none where that was deleted."""
    place = await locate(services.pool, owner, turn.conversation_id)
    return set(place.turns) if place is not None else set()
