"""A prompt for several models, in a new conversation or as the next turn of one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from polylogue.api.begin import Begun, Draft, begin
from polylogue.api.errors import ApiError
from polylogue.api.follow_up import standing
from polylogue.api.history import history_of
from polylogue.api.requests import CompareRequest, digest, nul_character
from polylogue.api.services import Services
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.events import ResponseSlot


async def submit(
    services: Services, owner: str, request: CompareRequest, idempotency_key: str | None
) -> Begun:
    """The turn of this request, begun by it or by an earlier one with the same key. Raises ApiError and what means
    that a server is away."""

    async def draft() -> Draft:
        await known(services, request.models)
        conversation_id = request.conversation_id
        before = await standing(services, owner, conversation_id) if conversation_id else None
        turn_id = uuid.uuid4().hex
        attachments = await services.attachments.keep(request.attached_images, owner, turn_id)
        data = StartTurn(
            prompt=request.input_data,
            responses=slots(turn_id, request.models),
            new_conversation=before is None,
            system=request.system,
            history=history_of(before.turns) if before else request.history,
            attachments=attachments,
            parameters=request.parameters,
            model_parameters=request.parameters_by_model(),
            max_cost_usd_micros=request.max_cost_usd_micros,
        )
        return Draft(
            conversation_id=conversation_id or uuid.uuid4().hex,
            turn_id=turn_id,
            data=data,
            place=before.place if before else None,
            last_response=len(request.models),
            objects=tuple(attachment.key for attachment in attachments),
        )

    return await begin(services, owner, key=idempotency_key, digest=digest("compare", request), draft=draft)


async def known(services: Services, models: Sequence[str]) -> None:
    """Raises ApiError 400 for a model that the gateway does not offer, and for a name that no table holds: a variant
    passes with its model, whatever it is."""
    if any("\0" in model for model in models):
        raise nul_character()
    if unknown := await services.models.unknown(models):
        raise ApiError(400, "unknown_model", f"The gateway offers no model named {unknown[0]}.")


def slots(turn_id: str, models: Sequence[str], *, after: int = 0) -> tuple[ResponseSlot, ...]:
    """The responses of a round; their numbers go on through all rounds of a turn."""
    return tuple(
        ResponseSlot(response_id=f"{turn_id}-{number}", model=model)
        for number, model in enumerate(models, start=after + 1)
    )
