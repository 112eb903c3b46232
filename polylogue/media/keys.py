"""Object keys: fixed wholly by what is known when a medium is produced, so that no retry can change them."""

from __future__ import annotations

import re
from urllib.parse import quote

from polylogue.schemas.base import MediaType

PRIVATE = "private/"  # outside the public policy and the CDN
_DATE = re.compile(r"[0-9]{8}")
_RENDITION_EXTENSIONS = {"webp": "webp", "thumbnail": "webp", "poster": "webp", "waveform": "json"}
_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


def object_key(  # noqa: PLR0917 (the arguments stand in the order of the key)
    media_type: MediaType, conversation_id: str, model: str, date_yyyymmdd: str, media_id: str, ext: str
) -> str:
    """The key of a medium; `date_yyyymmdd` is in UTC. Raises ValueError for a date or extension that is none."""
    if not _DATE.fullmatch(date_yyyymmdd):
        raise ValueError(f"{date_yyyymmdd!r} is not a date of the form YYYYMMDD")
    if not _EXTENSION.fullmatch(ext):
        raise ValueError(f"{ext!r} is not a file extension")
    folder = "/".join(_segment(part) for part in (media_type, conversation_id, model))
    return f"media/{folder}/{date_yyyymmdd}_{_segment(media_id)}.{ext}"


def rendition_key(key: str, name: str) -> str:
    """The key of a smaller version, beside its original. Raises ValueError for a name that is none."""
    stem, dot, _ = key.rpartition(".")
    if name not in _RENDITION_EXTENSIONS:
        raise ValueError(f"{name!r} is no rendition")
    if not dot or "/" not in stem:
        raise ValueError(f"{key!r} is no key of a medium")
    return f"{stem}.{name}.{_RENDITION_EXTENSIONS[name]}"


def attachment_key(owner: str, turn_id: str, number: int, ext: str) -> str:
    """The key of a picture that a user sent with a prompt."""
    return f"{PRIVATE}{_segment(owner)}/{_segment(turn_id)}/{number}.{ext}"


def history_key(owner: str, turn_id: str, number: int) -> str:
    """The key of the history that a round of a turn is asked with, where it is too long for a record."""
    return f"{PRIVATE}history/{_segment(owner)}/{_segment(turn_id)}-{number}.json"


def _segment(name: str) -> str:
    """One part of the path, whatever is in the name."""
    if not name:
        raise ValueError("a part of the object key is empty")
    encoded = quote(name, safe="")
    # A part of dots alone would climb the folders of an object store that keeps files.
    return encoded.replace(".", "%2E") if not encoded.strip(".") else encoded
