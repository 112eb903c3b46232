"""What a download of a conversation's media holds: a name for each file, and the manifest. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from polylogue.api.lineage import Row

MANIFEST = "manifest.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_TOLD = (
    "media_id", "type", "status", "format", "content_type", "size_bytes", "sha256", "width", "height", "duration_ms",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """`about` goes into the manifest; `name` is None where there is no file to be had."""

    about: dict[str, Any]
    at: datetime
    name: str | None = None
    key: str = ""
    size_bytes: int = 0


def entries_of(turns: Iterable[Row]) -> list[Entry]:
    """The media of all answers as the reader sees them, inherited ones included, named by model, turn and position."""
    folders: dict[str, str] = {}
    counts: dict[tuple[str, int], int] = {}
    entries: list[Entry] = []
    for number, turn in enumerate(turns, 1):
        for message in turn["messages"]:
            for medium in message["media_urls"] or ():
                model = message["model_id"] or ""
                position = counts[model, number] = counts.get((model, number), 0) + 1
                about = {name: medium.get(name) for name in _TOLD} | {
                    "model": model,
                    "turn": number,
                    "turn_id": turn["turn_id"],
                    "response_id": message["message_id"],
                    "position": position,
                    "inherited": turn["inherited"],
                }
                at = message["created_at"]
                if medium.get("status") != "stored" or not medium.get("key"):
                    entries.append(Entry(about, at))
                    continue
                folder = _folder(folders, model)
                name = f"{folder}/{number:02d}-{position:02d}.{_UNSAFE.sub('', medium['format'])}"
                entries.append(Entry(about, at, name, medium["key"], medium["size_bytes"]))
    return entries


def manifest(head: Row, turns: Iterable[Row], files: Iterable[tuple[Entry, str | None]]) -> bytes:
    """`files` are the entries, each with the reason why it is missing, None where it is there."""
    told = {
        "conversation_id": head["conversation_id"],
        "title": head["title"],
        "turns": [
            {"turn": number, "turn_id": turn["turn_id"], "prompt": turn["prompt"], "gone": turn["gone"]}
            for number, turn in enumerate(turns, 1)
        ],
        "media": [
            entry.about | {"file": None if missing else entry.name, "missing": missing}
            for entry, missing in files
        ],
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2)


def _folder(folders: dict[str, str], model: str) -> str:
    """A folder of the model's own, also where two names differ only in what no file name can hold."""
    if model not in folders:
        plain = _UNSAFE.sub("-", model).strip(".-")[:80] or "model"
        taken = {name.lower() for name in folders.values()}
        name, number = plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}-{number}"
        folders[model] = name
    return folders[model]
