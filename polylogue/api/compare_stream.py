"""`POST /compare-stream` and its resuming `GET`: one turn as `data:` lines, ending with the turn."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Response

from polylogue.api.begin import Begun
from polylogue.api.principal import Asking
from polylogue.api.requests import COMPARE_EXAMPLE, CompareRequest, check, check_key
from polylogue.api.services import Services, services_of
from polylogue.api.sse import EventStream
from polylogue.api.streams import stream
from polylogue.api.submit import submit

router = APIRouter(tags=["compare"])
Working = Annotated[Services, Depends(services_of)]


@router.post("/compare-stream", response_class=EventStream)
async def compare(
    services: Working,
    asking: Asking,
    request: Annotated[CompareRequest, Body(openapi_examples={"two models": {"value": COMPARE_EXAMPLE}})],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Sends the prompt to all models at once and streams their answers; leaving does not stop them."""
    check_key(idempotency_key)
    check(request)
    return streamed(services, await submit(services, asking.owner, request, idempotency_key))


def streamed(services: Services, begun: Begun) -> EventStream:
    """The frames of what a request has begun."""
    assert begun.subscription is not None
    submission = begun.submission
    headers = {"X-Conversation-Id": submission.conversation_id, "X-Turn-Id": submission.turn_id}
    return EventStream(begun.subscription, services.metrics, headers=headers)


@router.get("/compare-stream/{conversation_id}", response_class=EventStream)
async def resume(
    services: Working,
    asking: Asking,
    conversation_id: str,
    *,
    turn: Annotated[str | None, Query()] = None,
    after: Annotated[str | None, Query()] = None,
    snapshot: Annotated[bool, Query(description="begin with the state so far, one frame a response")] = False,
) -> Response:
    """Goes on after a frame's id. With `turn` it ends with that turn, and is 204 when nothing of it is left."""
    return await stream(
        services, asking.owner, conversation_id, form="data", after=after, turn_id=turn, snapshot=snapshot
    )
