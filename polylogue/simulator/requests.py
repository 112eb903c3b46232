"""Reads a chat completion request: what is asked, of which model, with which options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polylogue.simulator import catalogue, sounds
from polylogue.simulator.options import OptionError, Options, parse_header, split_model

_LONG_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
_ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


class RequestError(ValueError):
    """The request cannot be served; the message is a sentence for the caller, `code` the HTTP status."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    model: catalogue.Model
    asked_model: str  # as the caller wrote it, options included
    options: Options
    prompt: str  # the text of the last message of the user
    turns: int = 1  # messages of the user so far
    prompt_tokens: int = 1
    pictures: int = 0  # in the last message of the user
    seed: int | None = None
    modalities: tuple[str, ...] | None = None
    audio_format: str = "mp3"
    width: int = 1024
    height: int = 1024
    max_tokens: int | None = None
    stream: bool = False

    def gives(self, modality: str) -> bool:
        return modality in self.model.outputs and (self.modalities is None or modality in self.modalities)


def _content(message: dict[str, Any]) -> tuple[str, int]:
    """Text and number of pictures."""
    content = message.get("content")
    if isinstance(content, str):
        return content, 0
    if content is None:
        return "", 0
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise RequestError("The content of a message is a string or a list of parts.")
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    return "\n".join(texts), sum(part.get("type") == "image_url" for part in content)


def _number(body: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 0:
            raise RequestError(f"{name} is a whole number, 0 or more.")
        return value
    return None


def _dimensions(config: Any) -> tuple[int, int]:
    config = config if isinstance(config, dict) else {}
    size, aspect = config.get("image_size") or "1K", config.get("aspect_ratio") or "1:1"
    if size not in _LONG_SIDES:
        raise RequestError(f"image_config.image_size is one of {', '.join(_LONG_SIDES)}.")
    if aspect not in _ASPECTS:
        raise RequestError(f"image_config.aspect_ratio is one of {', '.join(_ASPECTS)}.")
    across, down = map(int, aspect.split(":"))
    unit = _LONG_SIDES[size] / max(across, down)
    return round(across * unit), round(down * unit)


def _audio_format(audio: Any) -> str:
    audio_format = audio.get("format", "mp3") if isinstance(audio, dict) else "mp3"
    if audio_format not in sounds.FORMATS:
        raise RequestError(f"audio.format is one of {', '.join(sounds.FORMATS)}.")
    return str(audio_format)


def read(body: Any, header: str = "") -> ChatRequest:
    """Raises RequestError with a sentence for the caller."""
    if not isinstance(body, dict):
        raise RequestError("The body is a JSON object.")
    asked_model = body.get("model")
    if not isinstance(asked_model, str) or not asked_model:
        raise RequestError("No model is named.")
    model = catalogue.MODELS.get(asked_model.partition(":")[0])
    if model is None:
        raise RequestError(f"{asked_model[:200]} is not a valid model ID")
    try:
        _, options = split_model(asked_model, parse_header(header))
    except OptionError as error:
        raise RequestError(str(error)) from None
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise RequestError("messages is a list of at least one message.")
    contents = [(message.get("role"), *_content(message)) for message in messages]
    asked = [(text, pictures) for role, text, pictures in contents if role == "user"]
    if not asked:
        raise RequestError("No message is from the user.")
    modalities = body.get("modalities")
    if modalities is not None and not (
        isinstance(modalities, list) and all(isinstance(one, str) for one in modalities)
    ):
        raise RequestError("modalities is a list of strings.")
    width, height = _dimensions(body.get("image_config"))
    seed = _number(body, "seed")
    return ChatRequest(
        model=model,
        asked_model=asked_model,
        options=options,
        prompt=asked[-1][0],
        turns=len(asked),
        # About four characters a token, as with most tokenizers and English.
        prompt_tokens=sum(4 + len(text) // 4 + 258 * pictures for _, text, pictures in contents),
        pictures=asked[-1][1],
        seed=options.seed if options.seed is not None else seed,
        modalities=None if modalities is None else tuple(modalities),
        audio_format=_audio_format(body.get("audio")),
        width=width,
        height=height,
        max_tokens=_number(body, "max_completion_tokens", "max_tokens"),
        stream=body.get("stream") is True,
    )


def read_prompted(body: Any, header: str = "") -> ChatRequest:
    """A request of the endpoints that know a prompt, or an `input`, in place of messages."""
    if not isinstance(body, dict):
        raise RequestError("The body is a JSON object.")
    asked = body.get("input", body.get("prompt"))
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    config = {name: body[name] for name in ("aspect_ratio", "image_size") if body.get(name)}
    fields = {"image_config": config} | {
        name: body[name] for name in ("model", "seed", "stream", "modalities") if name in body
    }
    return read({**fields, "messages": asked}, header)
