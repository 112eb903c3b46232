"""Further rounds of a turn: one more model answers its prompt, or one answers it again; what was answered before stays."""

from __future__ import annotations

from collections.abc import Callable

from polylogue.api.begin import Begun, Draft, begin
from polylogue.api.errors import ApiError, not_found
from polylogue.api.follow_up import standing
from polylogue.api.history import history_of, pictures_of
from polylogue.api.lineage import Row
from polylogue.api.requests import AddRequest, RetryRequest, TurnOptions, digest
from polylogue.api.services import Services
from polylogue.api.submit import known, slots
from polylogue.schemas.commands import StartTurn

MOST_RESPONSES = 100  # of a turn, all rounds together


async def add(
    services: Services,
    owner: str,
    place: tuple[str, str],
    request: AddRequest,
    key: str | None,
    *,
    watch: bool,
) -> Begun:
    """`place` is conversation and turn. Raises ApiError and what means that a server is away."""
    return await _round(
        services, owner, place, request, key, operation="add", models_of=lambda _: request.models, watch=watch
    )


async def retry(
    services: Services,
    owner: str,
    place: tuple[str, str],
    request: RetryRequest,
    key: str | None,
    *,
    watch: bool,
) -> Begun:
    """`place` is conversation and turn. Raises ApiError and what means that a server is away."""

    def model(turn: Row) -> list[str]:
        for message in turn["messages"]:
            if message["message_id"] == request.response_id and message["role"] == "assistant":
                return [message["model_id"]]
        raise not_found("response")

    return await _round(services, owner, place, request, key, operation="retry", models_of=model, watch=watch)


async def _round(
    services: Services,
    owner: str,
    place: tuple[str, str],
    request: TurnOptions,
    key: str | None,
    *,
    operation: str,
    models_of: Callable[[Row], list[str]],
    watch: bool,
) -> Begun:
    conversation_id, turn_id = place

    async def draft() -> Draft:
        now = await standing(services, owner, conversation_id)
        turn = now.own_turn(turn_id)
        models = models_of(turn)
        await known(services, models)
        user = next(message for message in turn["messages"] if message["role"] == "user")
        answered = (_number(one["message_id"]) for one in turn["messages"] if one["role"] == "assistant")
        submitted = now.place.turns[turn_id]
        last = max([submitted.last_response, *answered])
        if last + len(models) > MOST_RESPONSES:
            raise ApiError(400, "too_many_responses", f"A prompt has at most {MOST_RESPONSES} answers.")
        data = StartTurn(
            prompt=turn["prompt"],
            responses=slots(turn_id, models, after=last),
            # One that was submitted and never heard of has its number all the same.
            round=max(turn["round"], submitted.last_round) + 1,
            system=turn["system"],
            history=history_of(now.turns, before=turn_id),
            attachments=pictures_of(user),
            parameters=request.parameters,
            model_parameters=request.parameters_by_model(),
            max_cost_usd_micros=request.max_cost_usd_micros,
        )
        return Draft(conversation_id, turn_id, data, place=now.place, last_response=last + len(models))

    told = digest(operation, request, conversation_id, turn_id)
    return await begin(services, owner, key=key, digest=told, draft=draft, watch=watch)


def _number(response_id: str) -> int:
    return int(response_id.rpartition("-")[2])
