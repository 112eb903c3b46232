"""Finds the medium in the many forms that gateways give a content part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.large_json import LongString
from polylogue.streams.gateway.lifted import LiftedString

Source = str | LongString

_NESTED = {
    "image": ("image_url", "image", "inline_data", "inlineData", "source", "file"),
    "audio": (
        "input_audio",
        "audio",
        "output_audio",
        "audio_url",
        "inline_data",
        "inlineData",
        "source",
        "file",
    ),
    "video": ("video_url", "video", "inline_data", "inlineData", "source", "file"),
}
_SOURCES = ("url", "data", "b64_json", "base64", "file_data", "file_uri")
_DECLARED = ("mime_type", "media_type", "content_type", "mimeType")


class MediaPart(msgspec.Struct, frozen=True):
    media_type: MediaType
    source: Source
    declared_content_type: str | None = None
    format: str | None = None


def bytes_of(source: Source) -> bytes:
    """As it came."""
    if isinstance(source, str):
        return source.encode("utf-8", "replace")
    return bytes(source.text() if isinstance(source, LiftedString) else source)


def media_type_of(part: Mapping[str, Any]) -> MediaType | None:
    """By the part's type, else by the key that holds the medium."""
    name = part.get("type")
    words = (name,) if isinstance(name, str) and name else tuple(part)
    types: tuple[MediaType, ...] = ("image", "audio", "video")
    for media_type in types:
        if any(media_type in word.lower() for word in words):
            return media_type
    return None


def media_part(part: Any, media_type: MediaType) -> MediaPart | None:
    """A string is the source itself; in a mapping it is under one of many names, at most three levels down."""
    return _find(part, media_type, None, None, depth=3)


def _find(
    part: Any, media_type: MediaType, declared: str | None, audio_format: str | None, *, depth: int
) -> MediaPart | None:
    if isinstance(part, Source):
        return MediaPart(media_type, part, declared, audio_format) if len(part) else None
    if not isinstance(part, dict) or depth == 0:
        return None
    declared = next((part[key] for key in _DECLARED if isinstance(part.get(key), str)), declared)
    if isinstance(part.get("format"), str):
        audio_format = part["format"]
    for key in (*_NESTED[media_type], *_SOURCES):
        if key in part:
            found = _find(part[key], media_type, declared, audio_format, depth=depth - 1)
            if found is not None:
                return found
    return None
