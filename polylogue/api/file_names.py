"""The name under which a download is saved, as RFC 6266 has it: whatever the title, a plain name and a full one. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

# What some file system takes for a path, a device, a wildcard or an instruction; and marks that turn reading around.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff/\\:*?\"<>|%;]+"
)
_NOT_ASCII = re.compile(r"[^A-Za-z0-9 ._()-]+")
_MOST_BYTES = 120  # file systems take 255, of which others add some


def saved_as(title: str, ending: str) -> dict[str, str]:
    """The header that has a browser save a file as `title ending`."""
    full = _cut(" ".join(_UNSAFE.sub(" ", title).split()).strip(" .")) or "conversation"
    plain = " ".join(_NOT_ASCII.sub(" ", full).split()).strip(" .") or "conversation"
    header = f'attachment; filename="{_joined(plain, ending)}"'
    if plain != full:
        header += f"; filename*=UTF-8''{quote(_joined(full, ending), safe='')}"
    return {"Content-Disposition": header}


def _joined(name: str, ending: str) -> str:
    return f"{name}{'' if ending.startswith('.') else ' '}{ending}"


def _cut(name: str) -> str:
    """At a whole character."""
    return name.encode()[:_MOST_BYTES].decode(errors="ignore").strip(" .")
