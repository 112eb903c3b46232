"""From a chat completion to a begun turn: a new conversation whose past is what came with the request."""

from __future__ import annotations

import uuid

from polylogue.api.begin import Begun, Draft, begin
from polylogue.api.openai.requests import Asked, ChatRequest
from polylogue.api.requests import digest
from polylogue.api.services import Services
from polylogue.api.submit import known, slots
from polylogue.schemas.commands import HistoryMessage, StartTurn
from polylogue.schemas.events import Attachment


async def complete(
    services: Services, owner: str, request: ChatRequest, asked: Asked, idempotency_key: str | None
) -> Begun:
    """Raises ApiError and what means that a server is away."""

    async def draft() -> Draft:
        await known(services, [request.model])
        turn_id = uuid.uuid4().hex
        kept = await services.attachments.keep(asked.all_pictures, owner, turn_id)
        cost = request.max_cost_usd
        data = StartTurn(
            prompt=asked.prompt,
            responses=slots(turn_id, [request.model]),
            new_conversation=True,
            system=asked.system,
            history=_history(asked, kept),
            attachments=kept[len(kept) - len(asked.pictures) :],
            parameters=request.options.parameters,
            max_cost_usd_micros=None if cost is None else max(1, round(cost * 1_000_000)),
        )
        keys = tuple(attachment.key for attachment in kept)
        return Draft(uuid.uuid4().hex, turn_id, data, last_response=1, objects=keys)

    return await begin(
        services, owner, key=idempotency_key, digest=digest("chat-completion", request), draft=draft
    )


def _history(asked: Asked, kept: tuple[Attachment, ...]) -> tuple[HistoryMessage, ...]:
    made, at = [], 0
    for said in asked.history:
        upto = at + len(said.pictures)
        made.append(HistoryMessage(role=said.role, content=said.text, attachments=kept[at:upto]))
        at = upto
    return tuple(made)
