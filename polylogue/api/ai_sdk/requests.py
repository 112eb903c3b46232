"""The body that `useChat` sends, and what it comes to: the last message of the user, and what was said before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from polylogue.api.data_urls import picture_of
from polylogue.api.errors import ApiError
from polylogue.api.requests import AttachedImage, HistoryItem, ModelName, ModelOptions, Text, check_prompt

MOST_ID_LENGTH = 255
# No slash: the id is a part of the paths that stop and resume.
ChatName = Annotated[Text, Field(min_length=1, max_length=MOST_ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f/]+$")]
MessageName = Annotated[Text, Field(max_length=MOST_ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Part(BaseModel):
    type: Text
    text: Text | None = None
    url: str | None = None


class UiMessage(BaseModel):
    id: MessageName = ""
    role: Literal["system", "user", "assistant"]
    parts: list[Part] = []

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if part.type == "text" and part.text)


class ChatRequest(ModelOptions):
    """`model` and the options are what the client puts into the transport's `body`; the rest is `useChat`'s own."""

    id: ChatName
    messages: Annotated[list[UiMessage], Field(min_length=1)]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    model: ModelName
    system: Text | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


@dataclass(frozen=True)
class Asked:
    message_id: str
    prompt: str
    pictures: list[AttachedImage]
    system: str | None
    history: list[HistoryItem]
    """What the client holds of the chat, for where the server knows no such chat."""


def asked(request: ChatRequest) -> Asked:
    """Raises ApiError."""
    *before, last = request.messages
    if last.role != "user":
        raise ApiError(400, "last_message", "The last message must be the user's.")
    system = [message.text for message in before if message.role == "system"]
    if request.system is not None:
        system.insert(0, request.system)
    history = [
        HistoryItem(role=message.role, content=message.text)
        for message in before
        if message.role != "system" and message.text
    ]
    prompt = last.text
    check_prompt(prompt, *system, *(one.content for one in history))
    return Asked(last.id, prompt, _pictures(last), "\n\n".join(system) or None, history)


def _pictures(message: UiMessage) -> list[AttachedImage]:
    """Raises ApiError."""
    found = []
    for part in message.parts:
        if part.type != "file":
            continue
        picture = picture_of(part.url or "")
        if picture is None:
            raise ApiError(400, "picture_by_url", "Send pictures as data URLs in base64, not as links.")
        found.append(picture)
    return found
