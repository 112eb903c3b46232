"""Conversations that begin with another one's past: a breakout with one of its models, a branch with an edited prompt."""

from __future__ import annotations

import uuid

from polylogue.api.begin import Begun, Draft, begin
from polylogue.api.errors import ApiError
from polylogue.api.follow_up import Standing, standing
from polylogue.api.history import history_of, pictures_of
from polylogue.api.lineage import Row, models_of
from polylogue.api.requests import BranchRequest, BreakoutRequest, check_models, digest
from polylogue.api.services import Services
from polylogue.api.submit import known, slots
from polylogue.schemas.commands import StartConversation, StartTurn
from polylogue.schemas.events import ParentRef


async def breakout(
    services: Services, owner: str, conversation_id: str, request: BreakoutRequest, key: str | None
) -> Begun:
    """A conversation with one model of this one, as yet without a turn of its own. Its media are referred to, not
    copied. Raises ApiError and what means that a server is away."""

    async def draft() -> Draft:
        now = await standing(services, owner, conversation_id)
        last = now.own_turn(request.turn_id) if request.turn_id else _last_own(now)
        shared = _up_to(now, last)
        if request.model not in models_of(shared):
            raise ApiError(
                400, "not_in_conversation", f"No answer in this conversation is by {request.model}."
            )
        parent = ParentRef(
            conversation_id=conversation_id,
            turn_id=last["turn_id"] if last else None,
            model=request.model,
        )
        data = StartConversation(title=now.head["title"], parent=parent)
        return Draft(uuid.uuid4().hex, uuid.uuid4().hex, data)

    told = digest("breakout", request, conversation_id)
    return await begin(services, owner, key=key, digest=told, draft=draft, watch=False)


async def branch(
    services: Services,
    owner: str,
    place: tuple[str, str],
    request: BranchRequest,
    key: str | None,
    *,
    watch: bool,
) -> Begun:
    """A conversation that shares what came before a turn, and goes on with another prompt. `place` is conversation and
    turn. Raises ApiError and what means that a server is away."""
    conversation_id, edited = place

    async def draft() -> Draft:
        now = await standing(services, owner, conversation_id)
        turn = now.own_turn(edited)
        models = models_of([turn]) if request.models is None else request.models
        check_models(models, request)
        await known(services, models)
        own = [one["turn_id"] for one in now.turns if not one["inherited"]]
        before = own.index(edited)
        turn_id = uuid.uuid4().hex
        if request.attached_images is None:
            user = next(message for message in turn["messages"] if message["role"] == "user")
            attachments = pictures_of(user)
            stored: tuple[str, ...] = ()
        else:
            attachments = await services.attachments.keep(request.attached_images, owner, turn_id)
            stored = tuple(attachment.key for attachment in attachments)
        data = StartTurn(
            prompt=request.input_data,
            responses=slots(turn_id, models),
            new_conversation=True,
            parent=ParentRef(conversation_id=conversation_id, turn_id=own[before - 1] if before else None),
            system=turn["system"] if request.system is None else request.system,
            history=history_of(now.turns, before=edited),
            attachments=attachments,
            parameters=request.parameters,
            model_parameters=request.parameters_by_model(),
            max_cost_usd_micros=request.max_cost_usd_micros,
        )
        return Draft(uuid.uuid4().hex, turn_id, data, last_response=len(models), objects=stored)

    told = digest("branch", request, conversation_id, edited)
    return await begin(services, owner, key=key, digest=told, draft=draft, watch=watch)


def _last_own(now: Standing) -> Row | None:
    return next((turn for turn in reversed(now.turns) if not turn["inherited"]), None)


def _up_to(now: Standing, last: Row | None) -> list[Row]:
    """The turns that a child sees: all that are inherited, and the own ones up to `last`."""
    if last is None:
        return [turn for turn in now.turns if turn["inherited"]]
    return now.turns[: now.turns.index(last) + 1]
