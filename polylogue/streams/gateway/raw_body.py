"""A body that is the medium itself, as speech servers answer that do not know of events."""

from __future__ import annotations

import hashlib

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.audio import as_sound
from polylogue.streams.gateway.errors import TRUNCATED
from polylogue.streams.gateway.events import BadMedia, Finished, GatewayEvent, MediaBytes

_TYPES: dict[str, MediaType] = {"audio": "audio", "image": "image", "video": "video"}
_NAMES = {"audio": "sound", "image": "picture", "video": "film"}


def raw_media_type(content_type: str) -> MediaType | None:
    """None for a body that is text: events or JSON."""
    return _TYPES.get(content_type.partition("/")[0])


def read_raw(
    data: bytes, content_type: str, media_type: MediaType, *, audio_format: str | None, max_bytes: int
) -> list[GatewayEvent]:
    """The whole answer. `data` may be cut just above `max_bytes`."""
    if not data:
        return [TRUNCATED]
    if len(data) > max_bytes:
        message = f"The model sent a {_NAMES[media_type]} above the size limit."
        return [BadMedia(media_type, "too_large", message), Finished("stop")]
    declared: str | None = content_type
    if media_type == "audio":
        subtype = content_type.partition("/")[2].lower()
        # Raw samples are announced by the request or by their own type, never by a mark.
        audio_format = subtype if subtype in ("pcm", "l16") else audio_format or subtype
        sound = as_sound(data, audio_format)
        data, declared = sound.data, sound.content_type or declared
    sha256 = hashlib.sha256(data).hexdigest()
    return [MediaBytes(media_type, data, sha256, declared), Finished("stop")]
