"""What the AI SDK's `DefaultChatTransport` asks for, and a stop: its own only closes the connection."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path
from starlette.responses import Response

from polylogue.api.ai_sdk import chats
from polylogue.api.ai_sdk.parts import MessageParts
from polylogue.api.ai_sdk.requests import MOST_ID_LENGTH, ChatRequest, asked
from polylogue.api.ai_sdk.submit import ask
from polylogue.api.cancel import cancel_turn
from polylogue.api.compare_stream import Working
from polylogue.api.errors import not_found
from polylogue.api.places import locate
from polylogue.api.principal import Asking
from polylogue.api.requests import CancelRequest, check_key
from polylogue.api.sse import HEADERS
from polylogue.api.streams import subscribe
from polylogue.api.translated_stream import TranslatedStream
from polylogue.api.turn_frames import TurnFrames, frames_of_begun

router = APIRouter(prefix="/ai-sdk/chat", tags=["ai-sdk"])
VERSION = {"x-vercel-ai-ui-message-stream": "v1"}
EXAMPLE = {
    "id": "chat-1",
    "model": "sim/text",
    "messages": [{"id": "message-1", "role": "user", "parts": [{"type": "text", "text": "Say something"}]}],
}
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
_IDLE: dict[int | str, dict[str, Any]] = _STREAM | {204: {"description": "No answer is under way"}}
ChatId = Annotated[str, Path(min_length=1, max_length=MOST_ID_LENGTH)]


@router.post("", response_class=Response, responses=_STREAM)
async def chat(
    services: Working,
    asking: Asking,
    request: Annotated[ChatRequest, Body(openapi_examples={"one message": {"value": EXAMPLE}})],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """The answer to the last message as a UI message stream; leaving does not stop it."""
    check_key(idempotency_key)
    begun = await ask(services, asking.owner, request, asked(request), idempotency_key)
    turn = frames_of_begun(services, asking.owner, begun)
    return _streamed(turn, begun.submission.last_response, request.model)


@router.get("/{chat_id}/stream", response_class=Response, responses=_IDLE)
async def resume(services: Working, asking: Asking, chat_id: ChatId) -> Response:
    """The message that is being written, from its start; 204 where none is."""
    idle = Response(status_code=204, headers=HEADERS | VERSION)
    conversation_id = await _conversation(services, asking, chat_id)
    place = await locate(services.pool, asking.owner, conversation_id) if conversation_id else None
    turn_id = next(reversed(place.turns), None) if place is not None else None
    if conversation_id is None or place is None or turn_id is None:
        return idle
    known = place.turns[turn_id]
    partition = services.partition_of(conversation_id)
    channel = await services.hub.channel(conversation_id, partition, place.safe_start)
    if channel.state.deleted or channel.turn_finished(turn_id, known.round_floor, known.round):
        return idle
    subscription = await subscribe(
        services, conversation_id, place, form="data", turn_id=turn_id, start=known.round_floor
    )
    turn = TurnFrames(services, asking.owner, conversation_id, turn_id, subscription)
    number = max(1, known.last_response)
    begun = channel.state.responses.get(f"{turn_id}-{number}")
    return _streamed(turn, number, begun.model if begun else None)


@router.post("/{chat_id}/stop")
async def stop(services: Working, asking: Asking, chat_id: ChatId) -> dict[str, Any]:
    """Stops the model; what it has said is kept, and whoever reads sees the end."""
    conversation_id = await _conversation(services, asking, chat_id)
    if conversation_id is None:
        raise not_found("chat")
    stopped = await cancel_turn(services, asking.owner, conversation_id, CancelRequest())
    return {"chat_id": chat_id} | stopped


async def _conversation(services: Working, asking: Asking, chat_id: str) -> str | None:
    """Names with characters that no table holds are nobody's."""
    if "\0" in chat_id:
        return None
    return await chats.conversation_of(services.pool, asking.owner, chat_id)


def _streamed(turn: TurnFrames, number: int, model: str | None) -> TranslatedStream:
    parts = MessageParts(
        f"{turn.turn_id}-{number}",
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        model=model,
    )
    headers = {"X-Conversation-Id": turn.conversation_id, "X-Turn-Id": turn.turn_id}
    return TranslatedStream(turn, parts, headers=VERSION | headers)
