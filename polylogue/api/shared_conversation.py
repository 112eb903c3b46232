"""A conversation as whoever has its link sees it: what was said and shown, and nothing of its owner. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from polylogue.api.lineage import Row
from polylogue.api.times import timed

_HEAD = ("title", "created_at", "updated_at", "turn_running")
_TURN = ("turn_id", "prompt", "round", "finished", "created_at", "completed_at", "gone", "notice")
_MESSAGE = (
    "message_id", "role", "model_id", "content", "reasoning", "status", "finish_reason", "error_message", "position",
    "created_at", "completed_at",
)  # fmt: skip
_MEDIUM = (
    "media_id", "type", "status", "format", "content_type", "size_bytes", "width", "height", "duration_ms",
)  # fmt: skip
_RENDITION = ("name", "content_type", "size_bytes", "width", "height")
_ATTACHED = re.compile(r"attached-(\d{1,3})-([0-9A-Za-z_-]{1,64})")


def as_shared(share_id: str, head: Row, turns: Iterable[Row]) -> dict[str, Any]:
    """Every medium has an address of the link's own, `content`, which dies with it."""
    return _some(head, _HEAD) | {
        "share_id": share_id,
        "turns": [
            _some(turn, _TURN) | {"messages": [_message(share_id, one) for one in turn["messages"]]}
            for turn in turns
        ],
    }


def attached_id(turn_id: str, number: int) -> str:
    """What an attached picture is called below a link; it has no id of its own."""
    return f"attached-{number}-{turn_id}"


def parse_attached(media_id: str) -> tuple[str, int] | None:
    """The turn and the number of an attached picture; None for the id of a medium."""
    found = _ATTACHED.fullmatch(media_id)
    return (found[2], int(found[1])) if found else None


def _message(share_id: str, message: Row) -> dict[str, Any]:
    media = message["media_urls"]
    pictures: Sequence[Row] = message["attachments"] or ()
    return _some(message, _MESSAGE) | {
        "media_urls": [_medium(share_id, one) for one in media] if media else None,
        "attachments": list(_attached(share_id, message["turn_id"], pictures)) or None,
    }


def _medium(share_id: str, medium: Row) -> dict[str, Any]:
    open_ = medium.get("status") == "stored"
    address = _address(share_id, medium["media_id"])
    renditions = medium.get("renditions") or ()
    return _some(medium, _MEDIUM) | {
        "content": address if open_ else None,
        "renditions": [
            _some(one, _RENDITION) | {"content": f"{address}?rendition={one['name']}" if open_ else None}
            for one in renditions
        ],
    }


def _attached(share_id: str, turn_id: str, pictures: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for number, picture in enumerate(pictures, 1):
        yield _some(picture, ("content_type", "size_bytes")) | {
            "content": _address(share_id, attached_id(turn_id, number))
        }


def _address(share_id: str, media_id: str) -> str:
    return f"/api/v1/shared/{share_id}/media/{media_id}/content"


def _some(row: Row, names: Iterable[str]) -> dict[str, Any]:
    return timed({name: row.get(name) for name in names})
