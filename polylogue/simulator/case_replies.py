"""What a wire case sends: bytes and what befalls the connection, and the short words that the cases are written in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from polylogue.simulator.case_media import data_url

End = Literal["close", "drop", "stall", "endless"]
DONE = b"data: [DONE]\n\n"
USAGE: dict[str, Any] = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": 0.0012}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One HTTP answer. `end`: the body is whole; the socket drops; silence until the client leaves; a line for ever."""

    pieces: tuple[bytes, ...] = ()  # each is one write
    end: End = "close"
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False  # not even headers

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A video job: the answer to the order, then one to each poll; the last repeats."""

    order: Reply
    polls: tuple[Reply, ...]


Produced = Reply | Job
# The argument is `size`: of each medium where a case is about size, 0 for the case's own.
Producer = Callable[[int], Produced]


def sse(document: Any, name: str = "") -> bytes:
    event = f"event: {name}\n".encode() if name else b""
    return event + b"data: " + orjson.dumps(document) + b"\n\n"


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return sse({"id": "gen-case", "object": "chat.completion.chunk", "choices": [choice], **more})


def text(content: str, finish: str | None = None, **more: Any) -> bytes:
    return chunk({"content": content}, finish, **more)


def images(*urls: Any, **more: Any) -> dict[str, Any]:
    return {"images": [{"type": "image_url", "image_url": {"url": url}, **more} for url in urls]}


def shown(data: bytes, finish: str | None = None) -> bytes:
    """A chunk with one picture."""
    return chunk(images(data_url(data), index=0), finish)


def audio(**fields: Any) -> bytes:
    return chunk({"audio": fields})


def stop(**more: Any) -> bytes:
    return chunk({}, "stop", **more) + DONE


def stream(*pieces: bytes, end: End = "close", **more: Any) -> Reply:
    return Reply(pieces=pieces, end=end, **more)


def body(document: Any, status: int = 200, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        pieces=(orjson.dumps(document),), status=status, content_type="application/json", headers=names
    )


def events(*documents: dict[str, Any], end: bytes = b"") -> Reply:
    """A stream of typed events, each named by its type."""
    return Reply(pieces=(*(sse(document, document["type"]) for document in documents), end))


def cut(data: bytes, *at: int) -> tuple[bytes, ...]:
    edges = (0, *at, len(data))
    return tuple(data[start:stop] for start, stop in itertools.pairwise(edges))
