"""Routes on an existing conversation: one more model, another try, an edited prompt, and going on with one model."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse

from polylogue.api.begin import Begun
from polylogue.api.compare_stream import Working, streamed
from polylogue.api.offspring import branch, breakout
from polylogue.api.principal import Asking
from polylogue.api.requests import (
    AddRequest,
    BranchRequest,
    BreakoutRequest,
    RetryRequest,
    check_key,
    check_models,
    check_prompt,
)
from polylogue.api.rounds import add, retry
from polylogue.api.services import Services
from polylogue.api.sse import EventStream

router = APIRouter(prefix="/conversations/{conversation_id}", tags=["conversations"])
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
Streaming = Annotated[bool, Query(description="false: answer 202 at once instead of streaming the frames")]


@router.post("/breakout", status_code=201)
async def break_out(
    services: Working,
    asking: Asking,
    conversation_id: str,
    request: BreakoutRequest,
    idempotency_key: Key = None,
) -> dict[str, Any]:
    """A new conversation that goes on with one model of this one; its past is shared, and its media are not copied."""
    check_key(idempotency_key)
    begun = await breakout(services, asking.owner, conversation_id, request, idempotency_key)
    return {"conversation_id": begun.submission.conversation_id, "parent_conversation_id": conversation_id}


@router.post("/turns/{turn_id}/models", response_class=EventStream)
async def add_models(
    services: Working,
    asking: Asking,
    conversation_id: str,
    turn_id: str,
    request: AddRequest,
    *,
    stream: Streaming = True,
    idempotency_key: Key = None,
) -> Response:
    """More models answer the prompt of a turn, as they would have at its time. Streams that round."""
    check_key(idempotency_key)
    check_models(request.models, request)
    place = (conversation_id, turn_id)
    begun = await add(services, asking.owner, place, request, idempotency_key, watch=stream)
    return _told(services, begun)


@router.post("/turns/{turn_id}/retry", response_class=EventStream)
async def retry_response(
    services: Working,
    asking: Asking,
    conversation_id: str,
    turn_id: str,
    request: RetryRequest,
    *,
    stream: Streaming = True,
    idempotency_key: Key = None,
) -> Response:
    """The model of a response answers the same prompt again; the earlier answer stays. Streams that round."""
    check_key(idempotency_key)
    place = (conversation_id, turn_id)
    begun = await retry(services, asking.owner, place, request, idempotency_key, watch=stream)
    return _told(services, begun)


@router.post("/turns/{turn_id}/branch", response_class=EventStream)
async def branch_off(
    services: Working,
    asking: Asking,
    conversation_id: str,
    turn_id: str,
    request: BranchRequest,
    *,
    stream: Streaming = True,
    idempotency_key: Key = None,
) -> Response:
    """A new conversation that shares what came before a turn and asks an edited prompt. Streams its first turn."""
    check_key(idempotency_key)
    check_prompt(request.input_data, request.system)
    place = (conversation_id, turn_id)
    begun = await branch(services, asking.owner, place, request, idempotency_key, watch=stream)
    return _told(services, begun)


def _told(services: Services, begun: Begun) -> Response:
    if begun.subscription is not None:
        return streamed(services, begun)
    submission = begun.submission
    told = {
        "conversation_id": submission.conversation_id,
        "turn_id": submission.turn_id,
        "round": submission.round,
    }
    return JSONResponse(told, status_code=202)
