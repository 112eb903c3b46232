"""The words in which recorded streams and their events are written."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from typing import Any, NamedTuple

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import (
    Finished,
    GatewayEvent,
    MediaBytes,
    UsageReported,
)
from polylogue.streams.gateway.framing import Framing

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
PNG_2 = b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 2
JPEG = b"\xff\xd8\xff\xe0" + b"jpeg" * 50
DONE = b"data: [DONE]\n\n"
STOP = Finished("stop")


class Case(NamedTuple):
    name: str
    stream: bytes
    events: list[GatewayEvent]
    audio_format: str | None = None


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{b64(data)}"


def image(data: bytes, declared: str | None = "image/png") -> MediaBytes:
    return MediaBytes("image", data, hashlib.sha256(data).hexdigest(), declared)


def audio(data: bytes, declared: str | None) -> MediaBytes:
    return MediaBytes("audio", data, hashlib.sha256(data).hexdigest(), declared)


def sse(document: Any) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    return sse({"id": "gen-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def picture(data: bytes, **more: Any) -> dict[str, Any]:
    return {"images": [{"type": "image_url", "image_url": {"url": data_url(data)}, **more}]}


def run(stream: bytes, cuts: list[int] | None = None, audio_format: str | None = None) -> list[GatewayEvent]:
    """The events of a stream that arrives cut at these places and ends cleanly; adjoining text is one."""
    adapter, framing = ChatCompletions(audio_format=audio_format), Framing()
    places = [0, *sorted(cuts or []), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    out: list[GatewayEvent] = []
    for piece in pieces:
        for frame in framing.feed(piece):
            out += adapter.feed(frame)
    for frame in framing.end():
        out += adapter.feed(frame)
    out += adapter.end()
    assert adapter.ended
    assert adapter.end() == []
    return out


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": 0.0012}
REPORTED = UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12), 1200)
PCM = bytes(range(200)) * 5
