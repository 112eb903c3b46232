"""`POST /v1/chat/completions` and `GET /v1/models`: what OpenAI's own clients ask for."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import psycopg
import psycopg_pool
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Body, Header
from starlette.responses import Response

from polylogue.api.cancel import cancel_turn
from polylogue.api.command_log import KafkaAwayError
from polylogue.api.compare_stream import Working
from polylogue.api.errors import ApiError
from polylogue.api.gateway_models import GatewayModel
from polylogue.api.hub import LogTruncatedError, NotReadyError
from polylogue.api.openai.answer import WholeAnswer
from polylogue.api.openai.completion import Chunks, Whole
from polylogue.api.openai.inline_media import InlineMedia
from polylogue.api.openai.requests import ChatRequest, asked
from polylogue.api.openai.submit import complete
from polylogue.api.principal import Asking
from polylogue.api.requests import CancelRequest, check_key
from polylogue.api.services import Services
from polylogue.api.translated_stream import TranslatedStream, unchanged
from polylogue.api.turn_frames import TurnFrames, frames_of_begun
from polylogue.infra.logs import get_logger

router = APIRouter(prefix="/v1", tags=["openai"])
EXAMPLE = {"model": "sim/text", "messages": [{"role": "user", "content": "Say something"}]}
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
CANCEL_S = 10.0  # nobody waits for it any more, and a process must be able to end

log = get_logger("polylogue.api.openai")


@router.post("/chat/completions", response_class=Response, responses=_STREAM)
async def chat_completions(
    services: Working,
    asking: Asking,
    request: Annotated[ChatRequest, Body(openapi_examples={"one message": {"value": EXAMPLE}})],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """One model's answer in OpenAI's form, at once or with `stream` as it comes; leaving stops the model."""
    check_key(idempotency_key)
    owner = asking.owner
    begun = await complete(services, owner, request, asked(request), idempotency_key)
    turn = frames_of_begun(services, owner, begun)
    told = {"X-Conversation-Id": turn.conversation_id, "X-Turn-Id": turn.turn_id}
    response_id, created = f"{turn.turn_id}-1", int(time.time())

    async def gone() -> None:
        await _stop(services, owner, turn)

    inline = InlineMedia(services, owner, services.inlining)
    look = inline.seen if services.settings.openai_media == "data" else unchanged
    if not request.stream:
        whole = Whole(response_id, request.model, created)
        return WholeAnswer(turn, whole, headers=told, gone=gone, seen=look, let_go=inline.let_go)
    options = request.stream_options
    usage = options is not None and options.include_usage
    chunks = Chunks(response_id, request.model, created, include_usage=usage)
    return TranslatedStream(turn, chunks, headers=told, gone=gone, seen=look, let_go=inline.let_go)


@router.get("/models")
async def models(services: Working, _asking: Asking) -> dict[str, Any]:
    """The gateway's models in OpenAI's form."""
    return {"object": "list", "data": [_shown(model) for model in await services.models.listed()]}


@router.get("/models/{model:path}")
async def one_model(services: Working, _asking: Asking, model: str) -> dict[str, Any]:
    """One of them; a variant such as `model:free` is there with its model."""
    await services.models.listed()
    entry = services.models.known(model)
    if entry is None:
        raise ApiError(404, "model_not_found", f"The gateway offers no model named {model[:200]}.")
    return _shown(entry) | {"id": model}


@router.api_route("/{path:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False)
async def nothing_else(_asking: Asking, path: str) -> None:
    """What OpenAI has and we have not must not look like a page of the web UI."""
    raise ApiError(
        404, "unknown_url", f"There is no /v1/{path[:100]} here; there are chat/completions and models."
    )


def _shown(model: GatewayModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": 0,  # the gateway does not say
        "owned_by": model.id.partition("/")[0],
        "name": model.name,
    }


async def _stop(services: Services, owner: str, turn: TurnFrames) -> None:
    try:
        async with asyncio.timeout(CANCEL_S):
            await cancel_turn(services, owner, turn.conversation_id, CancelRequest(turn_id=turn.turn_id))
    except (
        ApiError,
        KafkaAwayError,
        KafkaError,
        LogTruncatedError,
        NotReadyError,
        TimeoutError,
        psycopg.OperationalError,
        psycopg_pool.PoolTimeout,
    ) as error:
        # The client has gone: the turn runs to its end, as for every other client.
        log.warning("a turn that nobody waits for goes on", error=type(error).__name__)
