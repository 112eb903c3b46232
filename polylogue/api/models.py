"""`GET /models`: what can be asked; `POST /estimate`: what asking will cost."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body

from polylogue.api.compare_stream import Working
from polylogue.api.errors import not_found
from polylogue.api.estimate import estimated, total
from polylogue.api.history import history_of
from polylogue.api.lineage import family
from polylogue.api.principal import Asking
from polylogue.api.requests import COMPARE_EXAMPLE, CompareRequest, check
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.api.submit import known
from polylogue.schemas.commands import HistoryMessage

router = APIRouter(tags=["models"])


@router.get("/models")
async def models(services: Working) -> dict[str, Any]:
    """The gateway's models; prices in micro-dollars per million tokens. While the gateway is away the last list that it
    gave serves, and `stale` is true."""
    listed = await services.models.listed()
    return {
        "models": [msgspec.to_builtins(model) for model in listed],
        "stale": services.models.stale,
        "fetched_at": services.models.fetched_at,
    }


@router.post("/estimate")
async def estimate(
    services: Working,
    asking: Asking,
    request: Annotated[CompareRequest, Body(openapi_examples={"two models": {"value": COMPARE_EXAMPLE}})],
) -> dict[str, Any]:
    """Tokens and cost of what `/compare-stream` would do with the same body, by estimate. Nothing is stored or sent."""
    check(request)
    await known(services, request.models)
    history = request.history
    if request.conversation_id is not None:
        history = await _history(services, asking.owner, request.conversation_id)
    own = request.parameters_by_model()
    parts = [
        estimated(
            model,
            services.models.known(model),
            own.get(model, request.parameters),
            texts=(request.input_data, request.system or ""),
            history=history,
            pictures=len(request.attached_images),
        )
        for model in request.models
    ]
    whole = total(parts)
    cap, cost = request.max_cost_usd_micros, whole["cost_usd_micros"]
    return {
        "models": parts,
        "total": whole,
        "max_cost_usd_micros": cap,
        "within_cap": None if cap is None or cost is None else cost <= cap,
        "stale": services.models.stale,
    }


async def _history(services: Services, owner: str, conversation_id: str) -> tuple[HistoryMessage, ...]:
    """As far as it is stored: an estimate need not wait."""
    await placed(services, owner, conversation_id)
    async with services.pool.connection() as connection:
        found = await family(connection, owner, conversation_id)
    if found is None:
        raise not_found()
    return history_of(found[1])
