"""Streams as gateways send them, by name, each with the events they must become."""

from __future__ import annotations

from tests.unit.gateway.corpus_contents import CONTENTS
from tests.unit.gateway.corpus_ends import ENDS
from tests.unit.gateway.corpus_words import (
    DONE,
    JPEG,
    PCM,
    PNG,
    PNG_2,
    REPORTED,
    STOP,
    USAGE,
    Case,
    audio,
    b64,
    chunk,
    data_url,
    image,
    picture,
    run,
    sse,
)

CASES: list[Case] = [*CONTENTS, *ENDS]

__all__ = [
    "CASES",
    "DONE",
    "JPEG",
    "PCM",
    "PNG",
    "PNG_2",
    "REPORTED",
    "STOP",
    "USAGE",
    "Case",
    "audio",
    "b64",
    "chunk",
    "data_url",
    "image",
    "picture",
    "run",
    "sse",
]
