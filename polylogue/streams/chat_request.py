"""From a command to the question that one model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polylogue.schemas.commands import HistoryMessage, Parameters, StartTurn
from polylogue.schemas.events import Attachment
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.gateway.request import AudioRequest, ChatRequest, Message

# Streamed sound comes as PCM16 from every model that the gateways offer; it becomes a WAV here.
STREAMED_AUDIO = "pcm16"
DEFAULT_VOICE = "alloy"
MEDIA_MODALITIES = ("image", "audio")


def chat_request(
    start: StartTurn,
    model: str,
    info: ModelInfo | None,
    *,
    media_enabled: bool,
    pictures: Mapping[str, str] | None = None,
) -> ChatRequest:
    """What `model` is asked: every user's message, its own replies and nobody else's.

    `pictures` are the data URLs or URLs of the attachments by their key; one that is not in it is left out. A model
    that the catalogue does not know is asked for text.
    """
    parameters = _parameters(start, model)
    makes = info.output_modalities if info is not None and media_enabled else ()
    wanted = tuple(kind for kind in MEDIA_MODALITIES if kind in makes)
    voice = parameters.audio.voice if parameters.audio else DEFAULT_VOICE
    return ChatRequest(
        model=model,
        messages=_messages(start, model, pictures or {}),
        modalities=(*wanted, "text") if wanted else (),
        media_wanted=media_enabled,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_tokens=parameters.max_tokens,
        image_config=parameters.image_config if "image" in wanted else None,
        audio=AudioRequest(voice=voice, format=STREAMED_AUDIO) if "audio" in wanted else None,
    )


def sound_format(start: StartTurn, model: str) -> str:
    """The format in which the user wants this model's sound."""
    audio = _parameters(start, model).audio
    return audio.format if audio else "wav"


def _parameters(start: StartTurn, model: str) -> Parameters:
    return start.model_parameters.get(model, start.parameters)


def pictures_for(start: StartTurn, model: str, info: ModelInfo | None) -> tuple[Attachment, ...]:
    """The pictures that `model` is sent, oldest first; none where it takes none."""
    if info is None or "image" not in info.input_modalities:
        return ()
    earlier = [picture for message in _seen_by(start, model) for picture in message.attachments]
    return (*earlier, *start.attachments)


def leaves_pictures_out(start: StartTurn, model: str, info: ModelInfo | None) -> bool:
    """True where the prompt has pictures and the model takes none."""
    return bool(start.attachments) and not pictures_for(start, model, info)


def prompt_characters(start: StartTurn, model: str) -> int:
    """How much text `model` is sent, for the estimate of its cost."""
    history = sum(len(message.content) for message in _seen_by(start, model))
    return history + len(start.prompt) + len(start.system or "")


def _seen_by(start: StartTurn, model: str) -> list[HistoryMessage]:
    return [
        message for message in start.history if message.role != "assistant" or message.model in (None, model)
    ]


def _messages(start: StartTurn, model: str, pictures: Mapping[str, str]) -> tuple[Message, ...]:
    messages = [Message("system", start.system)] if start.system else []
    made: tuple[Attachment, ...] = ()
    for message in _seen_by(start, model):
        if message.role == "assistant":
            # Gateways take pictures from the user only, so those of a reply come with the next prompt.
            made += message.attachments
            if message.content:  # some gateways refuse an empty one
                messages.append(Message("assistant", message.content))
        else:
            content = _content(message.content, (*made, *message.attachments), pictures)
            messages.append(Message(message.role, content))
            made = ()
    return (*messages, Message("user", _content(start.prompt, (*made, *start.attachments), pictures)))


def _content(
    text: str, attachments: tuple[Attachment, ...], pictures: Mapping[str, str]
) -> str | tuple[dict[str, Any], ...]:
    urls = [pictures[attachment.key] for attachment in attachments if attachment.key in pictures]
    if not urls:
        return text
    parts = tuple({"type": "image_url", "image_url": {"url": url}} for url in urls)
    return ({"type": "text", "text": text}, *parts)
