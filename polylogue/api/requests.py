"""The bodies that clients send, checked field by field; what is unknown is ignored."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, Field

from polylogue.api.errors import ApiError
from polylogue.schemas.commands import AudioConfig, HistoryMessage, ImageConfig, Parameters

MOST_MODELS = 12
MOST_PROMPT_BYTES = 512 * 1024
MOST_KEY_LENGTH = 255
MOST_TITLE_LENGTH = 200
MOST_NOTE_LENGTH = 4000
# Line and paragraph breaks, control characters, and those that turn the direction of what follows.
_UNSEEN = frozenset({"Cc", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _encodable(text: str) -> str:
    """JSON can write half a character; UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half a character (a lone surrogate)") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
ModelName = Annotated[Text, Field(min_length=1, max_length=200)]


def _one_line(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("the text is empty")
    if any(unicodedata.category(character) in _UNSEEN or character in _TURNING for character in text):
        raise ValueError("the text holds a line break or a control character")
    return text


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text holds a NUL character")
    return text


Title = Annotated[Text, Field(max_length=MOST_TITLE_LENGTH), AfterValidator(_one_line)]
Note = Annotated[Text, Field(max_length=MOST_NOTE_LENGTH), AfterValidator(_without_nul)]


class HistoryItem(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: Text
    model_id: Text | None = None


class AttachedImage(BaseModel):
    """A picture as base64, with or without padding errors it is refused; a data URL is not base64."""

    mime_type: Annotated[Text, Field(max_length=100)]
    base64_data: str


class ImageConfigBody(BaseModel):
    aspect_ratio: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}:[1-9][0-9]{0,2}$")] | None = None
    image_size: Annotated[str, Field(pattern=r"^[0-9A-Za-z.]{1,12}$")] | None = None


class AudioBody(BaseModel):
    """How a model that speaks is to sound, and what file it is to become."""

    voice: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{1,64}$")] = AudioConfig().voice
    format: Literal["wav", "mp3", "flac", "ogg", "opus"] = "wav"


class ModelOptions(BaseModel):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    image_config: ImageConfigBody | None = None
    audio: AudioBody | None = None

    @property
    def parameters(self) -> Parameters:
        image, audio = self.image_config, self.audio
        return Parameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            image_config=ImageConfig(**image.model_dump()) if image else None,
            audio=AudioConfig(**audio.model_dump()) if audio else None,
        )


class TurnOptions(ModelOptions):
    """What holds for all models of a round; `model_parameters` changes single values for single models."""

    model_parameters: dict[ModelName, ModelOptions] = {}
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None

    def parameters_by_model(self) -> dict[str, Parameters]:
        """The whole parameters of the models that have some of their own."""
        common = {name: getattr(self, name) for name in ModelOptions.model_fields}
        return {
            model: ModelOptions.model_construct(**common | _set_fields(own)).parameters
            for model, own in self.model_parameters.items()
        }

    @property
    def max_cost_usd_micros(self) -> int | None:
        return None if self.max_cost_usd is None else max(1, round(self.max_cost_usd * 1_000_000))


class CompareRequest(TurnOptions):
    """One prompt for up to twelve models."""

    input_data: Text
    models: list[ModelName] = []
    conversation_id: Text | None = None
    conversation_history: list[HistoryItem] = []
    attached_images: list[AttachedImage] = []
    system: Text | None = None

    @property
    def history(self) -> tuple[HistoryMessage, ...]:
        return tuple(
            HistoryMessage(role=item.role, content=item.content, model=item.model_id)
            for item in self.conversation_history
        )


class AddRequest(TurnOptions):
    """More models for an existing prompt."""

    models: list[ModelName]


class RetryRequest(TurnOptions):
    """Another answer of the model that gave this one."""

    response_id: Text


class BranchRequest(TurnOptions):
    """An edited prompt. Models, system prompt and pictures are those of the old one where nothing else is said."""

    input_data: Text
    models: list[ModelName] | None = None
    attached_images: list[AttachedImage] | None = None
    system: Text | None = None


class BreakoutRequest(BaseModel):
    """The model to go on with, and the last turn that is shared (without it, the last one of the conversation)."""

    model: ModelName
    turn_id: Text | None = None


class CancelRequest(BaseModel):
    """Stops the named responses, those of a model, or all of the running turn."""

    response_ids: list[Text] = []
    model: Text | None = None
    turn_id: Text | None = None


class ConversationChange(BaseModel):
    """What is null or absent stays as it is."""

    title: Title | None = None
    pinned: bool | None = None


class Rating(BaseModel):
    """The reader's verdict on a turn's answers; it replaces the turn's former one, and an empty one takes it back."""

    best_response_id: Text | None = None
    thumbs: Annotated[dict[Text, Literal["up", "down"]], Field(max_length=100)] = {}  # by response_id
    note: Note | None = None


def digest(operation: str, body: BaseModel, *ids: str) -> str:
    """The same for the same request, however its JSON was written, and whichever fields a later version adds."""
    told = [operation, ids, body.model_dump(exclude_defaults=True)]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_key(idempotency_key: str | None) -> None:
    """Raises ApiError."""
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= MOST_KEY_LENGTH:
        raise ApiError(
            400, "bad_idempotency_key", f"An Idempotency-Key has 1 to {MOST_KEY_LENGTH} characters."
        )


def check_prompt(prompt: str, *texts: str | None) -> None:
    """What a schema cannot say, or says without a sentence. Raises ApiError."""
    if not prompt.strip():
        raise ApiError(400, "empty_prompt", "The prompt is empty; put some text into input_data.")
    if len(prompt.encode()) > MOST_PROMPT_BYTES:
        raise ApiError(413, "prompt_too_large", f"The prompt is larger than {MOST_PROMPT_BYTES // 1024} KiB.")
    if any("\0" in text for text in (prompt, *texts) if text):
        raise nul_character()


def nul_character() -> ApiError:
    return ApiError(400, "nul_character", "The request contains a NUL character, which no text may hold.")


def check_models(models: list[str], options: TurnOptions) -> None:
    """Raises ApiError."""
    if not models:
        raise ApiError(400, "no_models", "No model was chosen; name at least one in models.")
    if len(models) > MOST_MODELS:
        raise ApiError(
            400,
            "too_many_models",
            f"At most {MOST_MODELS} models can answer one prompt; {len(models)} were chosen.",
        )
    if strangers := sorted(set(options.model_parameters) - set(models)):
        raise ApiError(
            400, "bad_model_parameters", f"A model in model_parameters is not in models: {strangers[0]}."
        )


def check(request: CompareRequest) -> None:
    """Raises ApiError."""
    history = [text for item in request.conversation_history for text in (item.content, item.model_id)]
    check_prompt(request.input_data, request.system, *history)
    check_models(request.models, request)


def _set_fields(options: ModelOptions) -> dict[str, Any]:
    return {name: value for name, value in options if value is not None}


COMPARE_EXAMPLE: dict[str, Any] = {
    "input_data": "Draw a red circle and describe it",
    "models": ["sim/text", "sim/painter"],
}
