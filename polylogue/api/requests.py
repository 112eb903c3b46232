"""The bodies that clients send, checked field by field; what is unknown is ignored."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, Field

from polylogue.api.errors import ApiError
from polylogue.schemas.commands import HistoryMessage, ImageConfig, Parameters

MOST_MODELS = 12
MOST_PROMPT_BYTES = 512 * 1024
MOST_COMMAND_BYTES = 768 * 1024  # prompt and inline history, as encoded
MOST_KEY_LENGTH = 255
TITLE_LENGTH = 80


def _encodable(text: str) -> str:
    """JSON can write half a character; UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half a character (a lone surrogate)") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class HistoryItem(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: Text
    model_id: Text | None = None


class AttachedImage(BaseModel):
    mime_type: Text
    base64_data: Text


class ImageConfigBody(BaseModel):
    aspect_ratio: Text | None = Field(default=None, max_length=20)
    image_size: Text | None = Field(default=None, max_length=20)


class CompareRequest(BaseModel):
    """One prompt for up to twelve models."""

    input_data: Text
    models: list[Annotated[Text, Field(min_length=1, max_length=200)]] = []
    conversation_id: Text | None = None
    conversation_history: list[HistoryItem] = []
    attached_images: list[AttachedImage] = []
    system: Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    image_config: ImageConfigBody | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None

    def digest(self) -> str:
        """The same for the same request, however its JSON was written."""
        return hashlib.sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def title(self) -> str:
        line = self.input_data.strip().splitlines()[0].strip()
        return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"

    @property
    def parameters(self) -> Parameters:
        config = self.image_config
        return Parameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            image_config=ImageConfig(aspect_ratio=config.aspect_ratio, image_size=config.image_size)
            if config
            else None,
        )

    @property
    def max_cost_usd_micros(self) -> int | None:
        return None if self.max_cost_usd is None else round(self.max_cost_usd * 1_000_000)

    @property
    def history(self) -> tuple[HistoryMessage, ...]:
        return tuple(
            HistoryMessage(role=item.role, content=item.content, model=item.model_id)
            for item in self.conversation_history
        )


def check(request: CompareRequest, idempotency_key: str | None) -> None:
    """What a schema cannot say, or says without a sentence. Raises ApiError."""
    if not request.input_data.strip():
        raise ApiError(400, "empty_prompt", "The prompt is empty; put some text into input_data.")
    if not request.models:
        raise ApiError(400, "no_models", "No model was chosen; name at least one in models.")
    if len(request.models) > MOST_MODELS:
        raise ApiError(
            400,
            "too_many_models",
            f"At most {MOST_MODELS} models can answer one prompt; {len(request.models)} were chosen.",
        )
    if request.attached_images:
        raise ApiError(400, "attachments_unsupported", "Attached images are not supported yet.")
    if len(request.input_data.encode()) > MOST_PROMPT_BYTES:
        raise ApiError(413, "prompt_too_large", f"The prompt is larger than {MOST_PROMPT_BYTES // 1024} KiB.")
    texts = [request.input_data, request.system or "", *request.models]
    texts += [item.content for item in request.conversation_history]
    if any("\0" in text for text in texts):
        raise ApiError(400, "nul_character", "The request contains a NUL character, which no text may hold.")
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= MOST_KEY_LENGTH:
        raise ApiError(
            400, "bad_idempotency_key", f"An Idempotency-Key has 1 to {MOST_KEY_LENGTH} characters."
        )


class CancelRequest(BaseModel):
    """Stops the named responses, those of a model, or all of the running turn."""

    response_ids: list[Text] = []
    model: Text | None = None
    turn_id: Text | None = None


COMPARE_EXAMPLE: dict[str, Any] = {
    "input_data": "Draw a red circle and describe it",
    "models": ["sim/text", "sim/painter"],
}
