"""A conversation as JSON with all that is known of its media; nothing in it goes stale. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from polylogue.api.export_contents import Answer, Export, Medium, Turn
from polylogue.api.times import shown, timed

FORM = "polylogue-conversation"
VERSION = 1
# Names in the bucket are for nobody else, and URLs that were made for one reader end soon.
_OURS = frozenset({"key", "url", "content"})


def as_json(export: Export) -> Iterator[str]:
    """In pieces, a turn at a time."""
    head = {
        "form": FORM,
        "version": VERSION,
        "exported_at": shown(export.exported_at),
        "conversation_id": export.head["conversation_id"],
        "title": export.head["title"],
        "created_at": shown(export.head["created_at"]),
        "updated_at": shown(export.head["updated_at"]),
        "models": export.models,
        "media": export.media,
        "note": export.note,
    }
    yield _text(head)[:-2] + ',\n  "turns": ['
    for number, turn in enumerate(export.turns):
        yield (",\n" if number else "\n") + _text(_turn(turn))
    yield "\n  ]\n}\n"


def _turn(turn: Turn) -> dict[str, Any]:
    told = {name: value for name, value in turn.told.items() if name not in ("messages", "conversation_id")}
    return timed(told) | {
        "attachments": [_medium(one) for one in turn.pictures],
        "answers": [_answer(one) for one in turn.answers],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    unwanted = ("media_urls", "attachments", "conversation_id", "turn_id", "role", "message_id", "model_id")
    told = {name: value for name, value in answer.told.items() if name not in unwanted}
    return (
        {"response_id": answer.told["message_id"], "model": answer.model}
        | timed(told)
        | {"media": [_medium(one) for one in answer.media]}
    )


def _medium(medium: Medium) -> dict[str, Any]:
    """`file` is a name in the bundle or an address; None where there is none, and `missing` says why."""
    told = {name: value for name, value in medium.about.items() if name not in _OURS}
    if told.get("renditions"):
        told["renditions"] = [
            {name: value for name, value in one.items() if name not in _OURS} for one in told["renditions"]
        ]
    return {"type": medium.kind} | told | {"file": medium.place.href, "missing": medium.place.missing}


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
