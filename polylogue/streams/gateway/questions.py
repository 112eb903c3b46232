"""How each protocol is asked: path, body, and the adapter that reads the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.image_endpoint import ImageEndpoint
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import ChatRequest, Message
from polylogue.streams.gateway.responses import Responses
from polylogue.streams.gateway.speech import Speech

PATHS: dict[Protocol, str] = {
    "chat": "chat/completions",
    "responses": "responses",
    "images": "images/generations",
    "speech": "audio/speech",
    "videos": "videos",
}
PREVIEWS = 2  # of a picture: a sign of life while it is made
_SPEECH_FORMATS = {"pcm16": "pcm"}  # the same samples under another name


def body(protocol: Protocol, request: ChatRequest) -> dict[str, Any]:
    match protocol:
        case "chat":
            return request.body()
        case "responses":
            return _responses(request)
        case "images":
            config = {} if request.image_config is None else msgspec.to_builtins(request.image_config)
            own = {"prompt": request.prompt, "stream": True, "partial_images": PREVIEWS, **config}
        case "speech":
            audio = request.audio
            own = {"input": request.prompt, "stream_format": "sse"}
            if audio is not None:
                own |= {
                    "voice": audio.voice,
                    "response_format": _SPEECH_FORMATS.get(audio.format, audio.format),
                }
        case "videos":
            own = {"prompt": request.prompt}
    return {**request.extra, "model": request.model, **own}


def adapter(protocol: Protocol, request: ChatRequest, *, max_media_bytes: int) -> Adapter:
    audio_format = request.audio.format if request.audio else None
    match protocol:
        case "responses":
            return Responses(
                audio_format=audio_format, max_media_bytes=max_media_bytes, media_wanted=request.media_wanted
            )
        case "images":
            return ImageEndpoint(max_media_bytes=max_media_bytes)
        case "speech":
            return Speech(audio_format=audio_format, max_media_bytes=max_media_bytes)
        case _:
            return ChatCompletions(
                audio_format=audio_format, max_media_bytes=max_media_bytes, media_wanted=request.media_wanted
            )


def _responses(request: ChatRequest) -> dict[str, Any]:
    instructions = "\n\n".join(
        message.content
        for message in request.messages
        if message.role == "system" and isinstance(message.content, str)
    )
    optional = {
        "instructions": instructions or None,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_tokens,
        "tools": [{"type": "image_generation", "partial_images": PREVIEWS}]
        if "image" in request.modalities
        else None,
    }
    return {
        **request.extra,
        "model": request.model,
        "input": [_input(message) for message in request.messages if message.role != "system"],
        "stream": True,
        "store": False,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _input(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    text_type = "output_text" if message.role == "assistant" else "input_text"
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part.get("text"), str):
            parts.append({"type": text_type, "text": part["text"]})
        elif part.get("type") == "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, dict) else image
            parts.append({"type": "input_image", "image_url": url})
        else:
            parts.append(part)
    return {"role": message.role, "content": parts}
