"""From a command to the question that one model is asked."""

from __future__ import annotations

from polylogue.schemas.commands import StartTurn
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.gateway.request import AudioRequest, ChatRequest, Message

# Streamed sound comes as PCM16 from every model that the gateways offer; it becomes a WAV here.
STREAMED_AUDIO = AudioRequest(voice="alloy", format="pcm16")
MEDIA_MODALITIES = ("image", "audio")


def chat_request(start: StartTurn, model: str, info: ModelInfo | None, *, media_enabled: bool) -> ChatRequest:
    """What `model` is asked: every user's message, its own replies and nobody else's.

    A model that the catalogue does not know is asked for text.
    """
    parameters = start.parameters
    makes = info.output_modalities if info is not None and media_enabled else ()
    wanted = tuple(kind for kind in MEDIA_MODALITIES if kind in makes)
    return ChatRequest(
        model=model,
        messages=_messages(start, model),
        modalities=(*wanted, "text") if wanted else (),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_tokens=parameters.max_tokens,
        image_config=parameters.image_config if "image" in wanted else None,
        audio=STREAMED_AUDIO if "audio" in wanted else None,
    )


def _messages(start: StartTurn, model: str) -> tuple[Message, ...]:
    messages = [Message("system", start.system)] if start.system else []
    messages += [
        Message(message.role, message.content)
        for message in start.history
        if message.role != "assistant" or message.model in (None, model)
    ]
    return (*messages, Message("user", start.prompt))


def prompt_characters(start: StartTurn, model: str) -> int:
    """How much text `model` is sent, for the estimate of its cost."""
    return sum(
        len(message.content) for message in _messages(start, model) if isinstance(message.content, str)
    )
