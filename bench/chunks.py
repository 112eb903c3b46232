"""Chunks of a streamed chat completion, as OpenRouter sends them."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

DONE = b"data: [DONE]\n\n"
PROCESSING = b": OPENROUTER PROCESSING\n\n"
_WORDS = [
    "the",
    "a",
    "of",
    "light",
    "picture",
    "slowly",
    "over",
    "between",
    "window",
    "and,",
    "because",
    "it",
    "green",
    "naïve",
    "Straße",
    "光",
    "is.",
    "that",
    "river",
]


def chunk(delta: dict[str, Any], *, model: str = "bench/text", finish: str | None = None) -> bytes:
    document = {
        "id": "gen-1767225600-BenchBenchBenchBench",
        "provider": "Bench",
        "model": model,
        "object": "chat.completion.chunk",
        "created": 1_767_225_600,
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", **delta},
                "finish_reason": finish,
                "native_finish_reason": finish,
                "logprobs": None,
            }
        ],
    }
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def text(content: str, **more: Any) -> bytes:
    return chunk({"content": content}, **more)


def picture(data: bytes, **more: Any) -> bytes:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    image = {"type": "image_url", "image_url": {"url": url}, "index": 0}
    return chunk({"content": "", "images": [image]}, **more)


def end(**more: Any) -> bytes:
    return chunk({"content": ""}, finish="stop", **more) + DONE


def words(count: int, *, seed: int = 0) -> list[str]:
    """Pieces of the length that models send."""
    noise = random.Random(seed)
    return [" " + noise.choice(_WORDS) for _ in range(count)]


def answer(pieces: int, pictures: tuple[bytes, ...] = ()) -> bytes:
    """A whole answer: comments, text, pictures in its middle, the end."""
    said = [text(word) for word in words(pieces)]
    half = len(said) // 2
    return b"".join(
        [PROCESSING, *said[:half], PROCESSING, *(picture(data) for data in pictures), *said[half:], end()]
    )
