"""Conversations: the list, one of them, its events as standard SSE, and stopping its models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response

from polylogue.api import stored
from polylogue.api.cancel import cancel_turn
from polylogue.api.changes import change_conversation, rate
from polylogue.api.compare_stream import Working
from polylogue.api.deletion import delete_conversation
from polylogue.api.errors import not_found
from polylogue.api.principal import Asking
from polylogue.api.requests import CancelRequest, ConversationChange, Rating
from polylogue.api.sse import EventStream
from polylogue.api.streams import placed, stream
from polylogue.api.zip_download import zipped

router = APIRouter(prefix="/conversations", tags=["conversations"])
Force = Annotated[bool, Query(description="delete although other conversations show it")]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"description": "It is in the log, and not seen everywhere yet"}
}


def seen_or_accepted(response: Response, *, seen: bool) -> None:
    """200 where whoever asks next is shown the change, else 202."""
    response.status_code = 200 if seen else 202


@router.get("")
async def conversations(
    services: Working,
    asking: Asking,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
    cursor: Annotated[str | None, Query()] = None,
    pinned: Annotated[
        bool | None, Query(description="only those that are pinned, or only the others")
    ] = None,
) -> dict[str, Any]:
    """The latest first; `next_cursor` asks for what follows."""
    return await stored.page(services.pool, asking.owner, limit, cursor, pinned=pinned)


@router.get("/{conversation_id}")
async def conversation(services: Working, asking: Asking, conversation_id: str) -> dict[str, Any]:
    """Its turns with all messages; `media_urls` is null where a message has no media."""
    place = await placed(services, asking.owner, conversation_id)
    found = await stored.conversation(services.pool, asking.owner, conversation_id, services.url_for)
    if found is None:
        # Submitted a moment ago; the tables will have it as soon as the runner has begun.
        if place.projected:
            raise not_found()
        return stored.just_submitted(conversation_id, running=bool(place.turns))
    return found


@router.get("/{conversation_id}/events", response_class=EventStream)
async def events(
    services: Working,
    asking: Asking,
    conversation_id: str,
    *,
    turn: Annotated[str | None, Query()] = None,
    after: Annotated[str | None, Query()] = None,
    errors: Annotated[Literal["frame"] | None, Query()] = None,
    snapshot: Annotated[bool, Query(description="begin with the state so far, one frame a response")] = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Standard SSE from `Last-Event-ID` (which wins), `after`, or the start; with `turn` it ends with that turn."""
    return await stream(
        services,
        asking.owner,
        conversation_id,
        form="events",
        after=last_event_id or after,
        turn_id=turn,
        gap_as_frame=errors == "frame",
        snapshot=snapshot,
    )


@router.post("/{conversation_id}/cancel", status_code=202)
async def cancel(
    services: Working, asking: Asking, conversation_id: str, request: CancelRequest | None = None
) -> dict[str, Any]:
    """Stops models and keeps what they have said; stopping what has ended is no error."""
    return await cancel_turn(services, asking.owner, conversation_id, request or CancelRequest())


@router.get(
    "/{conversation_id}/media.zip",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The files and manifest.json"}},
)
async def media_zip(services: Working, asking: Asking, conversation_id: str) -> Response:
    """All media of the conversation, named by model, turn and position; `manifest.json` says everything of them."""
    return await zipped(services, asking.owner, conversation_id)


@router.patch("/{conversation_id}", responses=ACCEPTED)
async def change(
    services: Working, asking: Asking, conversation_id: str, request: ConversationChange, response: Response
) -> dict[str, Any]:
    """Renames it, pins it or takes the pin away; says what was changed."""
    shown = await change_conversation(services, asking.owner, conversation_id, request)
    seen_or_accepted(response, seen=shown)
    return {"conversation_id": conversation_id} | request.model_dump(exclude_none=True)


@router.delete("/{conversation_id}", responses=ACCEPTED)
async def delete(
    services: Working, asking: Asking, conversation_id: str, response: Response, *, force: Force = False
) -> dict[str, Any]:
    """Stops what runs, deletes the conversation and has all of its media removed. Deleting it again is a success."""
    shown = await delete_conversation(services, asking.owner, conversation_id, force=force)
    seen_or_accepted(response, seen=shown)
    return {"conversation_id": conversation_id, "status": "deleted" if shown else "deleting"}


@router.put("/{conversation_id}/turns/{turn_id}/rating", responses=ACCEPTED)
async def rate_answers(  # noqa: PLR0917 (the framework gives them by name)
    services: Working, asking: Asking, conversation_id: str, turn_id: str, request: Rating, response: Response
) -> dict[str, Any]:
    """The best answer of a turn, thumbs and a note; replaces what was said of it before."""
    shown = await rate(services, asking.owner, conversation_id, turn_id, request)
    seen_or_accepted(response, seen=shown)
    return {"conversation_id": conversation_id, "turn_id": turn_id} | request.model_dump()
