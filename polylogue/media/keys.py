"""Object keys: fixed wholly by what is known when a medium is produced, so that no retry can change them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args
from urllib.parse import quote, unquote

from polylogue.schemas.base import MediaType

PRIVATE = "private/"  # outside the public policy and the CDN
_DATE = re.compile(r"[0-9]{8}")
_RENDITION_EXTENSIONS = {"webp": "webp", "thumbnail": "webp", "poster": "webp", "waveform": "json"}
_NAME = re.compile(r"[0-9]{8}_([^.]+)\..+")
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


@dataclass(frozen=True)
class ObjectName:
    """What the key of an original or of a smaller version says."""

    media_type: MediaType
    conversation_id: str
    model: str
    media_id: str


def medium_of(key: str) -> ObjectName | None:
    """Whose object it is; None for a key of another form."""
    parts = key.split("/")
    if len(parts) != 5 or parts[0] != "media":
        return None
    media_type = next((known for known in get_args(MediaType) if known == parts[1]), None)
    name = _NAME.fullmatch(parts[4])
    if media_type is None or name is None:
        return None
    return ObjectName(media_type, unquote(parts[2]), unquote(parts[3]), unquote(name[1]))


def medium_prefix(key: str) -> str:
    """With what the keys of an original and of all its smaller versions begin, and no other's. Raises ValueError for
    a key of another form."""
    if medium_of(key) is None:
        raise ValueError("no key of a medium")
    folder, _, name = key.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}."


def conversation_prefix(media_type: MediaType, conversation_id: str) -> str:
    return f"media/{media_type}/{_segment(conversation_id)}/"


def turn_prefixes(owner: str, turn_id: str) -> tuple[str, str]:
    """Where the attachments and the histories of a turn lie."""
    turn = _segment(turn_id)
    return f"{PRIVATE}{_segment(owner)}/{turn}/", f"{PRIVATE}history/{_segment(owner)}/{turn}-"


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
