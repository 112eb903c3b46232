"""The body of a chat completion, and what it comes to: a prompt, what was said before, and the pictures of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from polylogue.api.data_urls import picture_of
from polylogue.api.errors import ApiError
from polylogue.api.requests import (
    AttachedImage,
    AudioBody,
    ImageConfigBody,
    ModelName,
    ModelOptions,
    Text,
    check_prompt,
)


class ImageUrl(BaseModel):
    url: str


class ContentPart(BaseModel):
    type: Text
    text: Text | None = None
    image_url: ImageUrl | None = None


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[ContentPart] | None = None
    images: list[ContentPart] = []  # of an answer, as it came
    tool_calls: list[Any] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """One model's answer to the last message. What is unknown is ignored; what would change the answer is refused."""

    model: ModelName
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    image_config: ImageConfigBody | None = None
    audio: AudioBody | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    response_format: dict[str, Any] | None = None
    stop: Any = None
    logprobs: bool | None = None

    @property
    def options(self) -> ModelOptions:
        return ModelOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            image_config=self.image_config,
            audio=self.audio,
        )


@dataclass(frozen=True)
class Said:
    """One earlier message with its pictures."""

    role: Literal["user", "assistant"]
    text: str
    pictures: tuple[AttachedImage, ...] = ()


@dataclass(frozen=True)
class Asked:
    prompt: str
    pictures: tuple[AttachedImage, ...]
    system: str | None
    history: tuple[Said, ...]

    @property
    def all_pictures(self) -> list[AttachedImage]:
        """Those of the history in its order, then those of the prompt."""
        return [picture for said in self.history for picture in said.pictures] + list(self.pictures)


def asked(request: ChatRequest) -> Asked:
    """Raises ApiError."""
    _check_options(request)
    system: list[str] = []
    said: list[Said] = []
    for number, message in enumerate(request.messages):
        if message.role in {"tool", "function"} or message.tool_calls:
            raise _no_tools(f"messages.{number}")
        text, pictures = _content(message, number)
        if message.role in {"system", "developer"}:
            system.append(text)
        elif message.role == "user":
            said.append(Said("user", text, pictures))
        else:
            said.append(Said("assistant", text, pictures + _kept(message.images)))
    if not said or said[-1].role != "user":
        raise _refused("last_message", "The last message must be the user's.", "messages")
    prompt = said.pop()
    check_prompt(prompt.text, *system, *(one.text for one in said))
    return Asked(prompt.text, prompt.pictures, "\n\n".join(system) or None, tuple(said))


def _content(message: ChatMessage, number: int) -> tuple[str, tuple[AttachedImage, ...]]:
    if not isinstance(message.content, list):
        return message.content or "", ()
    texts: list[str] = []
    pictures: list[AttachedImage] = []
    for place, part in enumerate(message.content):
        where = f"messages.{number}.content.{place}"
        if part.type == "text":
            texts.append(part.text or "")
        elif part.type == "refusal":
            continue
        elif part.type == "image_url" and part.image_url is not None:
            picture = picture_of(part.image_url.url)
            if picture is None:
                raise _refused("picture_by_url", "Send pictures as data URLs in base64, not as links.", where)
            pictures.append(picture)
        else:
            kind = part.type[:50]
            raise _refused("unsupported_content", f"Messages take text and image_url, not {kind}.", where)
    return "\n".join(texts), tuple(pictures)


def _kept(images: list[ContentPart]) -> tuple[AttachedImage, ...]:
    """An answer's pictures as far as they came with it: what is only linked may have gone since."""
    found = (picture_of(one.image_url.url) for one in images if one.image_url is not None)
    return tuple(picture for picture in found if picture is not None)


def _check_options(request: ChatRequest) -> None:
    if request.tools or request.functions:
        raise _no_tools("tools" if request.tools else "functions")
    if request.n is not None and request.n != 1:
        raise _refused("one_choice", "One call gives one answer; n must be 1.", "n")
    if (request.response_format or {}).get("type", "text") != "text":
        raise _refused(
            "unsupported_format", "Answers come as text; leave response_format out.", "response_format"
        )
    if request.stop:
        raise _refused("unsupported_stop", "Stop sequences are not supported; leave stop out.", "stop")
    if request.logprobs:
        raise _refused("unsupported_logprobs", "Log probabilities are not supported.", "logprobs")


def _no_tools(param: str) -> ApiError:
    return _refused(
        "tools_unsupported", "Tools are not supported here; leave tools and functions out.", param
    )


def _refused(code: str, detail: str, param: str) -> ApiError:
    return ApiError(400, code, detail, param=param)
