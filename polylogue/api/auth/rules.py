"""What a request needs, by its method and path: nothing is open that is not named here. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Need = Literal["nothing", "read", "write", "admin", "metrics"]

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_MACHINES = frozenset({"/healthz", "/readyz"})
# Asked by everybody, in the names that they have below /api and /api/v1.
_OPEN = (
    (_READS, re.compile(r"/openapi\.json")),
    (_READS | {"POST", "DELETE"}, re.compile(r"/session")),
    (_READS, re.compile(r"/shared(/.*)?", re.DOTALL)),  # a share link is the secret itself
)
# They change nothing that is anybody's: whoever may read may ask.
_READING_POSTS = re.compile(r"/(estimate|tickets)")
# Files of any size: under way for as long as their reader takes.
_FILES = re.compile(r"/conversations/[^/]+/(media\.zip|export)|/media/[^/]+/content")
_SHARED_FILES = re.compile(r"/shared/([^/]+)/media/[^/]+/content")
# Each holds a connection for as long as it likes.
_STREAMS = (
    ("POST", re.compile(r"/compare-stream")),
    ("GET", re.compile(r"/compare-stream/[^/]+")),
    ("GET", re.compile(r"/conversations/[^/]+/events")),
    ("POST", re.compile(r"/conversations/[^/]+/turns/[^/]+/(models|retry|branch)")),
    ("GET", re.compile(r"/streams/[^/]+")),
    ("POST", re.compile(r"/ai-sdk/chat")),
    ("GET", re.compile(r"/ai-sdk/chat/[^/]+/stream")),
    ("POST", re.compile(r"/v1/chat/completions")),
)


@dataclass(frozen=True)
class Rule:
    """`limited`: whether it counts; `stream`: whether it holds a connection; `file`: whether it may take long; `link`:
    the share link that opens it."""

    need: Need
    limited: bool = True
    stream: bool = False
    file: bool = False
    link: str | None = None

    @property
    def takes_ticket(self) -> bool:
        return self.stream and self.need == "read"


def rule_for(method: str, path: str) -> Rule:
    if path in _OF_MACHINES:
        return Rule("nothing", limited=False)
    if path == "/metrics":
        return Rule("metrics", limited=False)
    name = _name(path)
    if name is None:  # files of the web UI: the same for everybody
        return Rule("nothing", limited=False)
    if any(method in methods and form.fullmatch(name) for methods, form in _OPEN):
        shared = _SHARED_FILES.fullmatch(name) if method == "GET" else None
        return Rule("nothing", file=shared is not None, link=shared[1] if shared else None)
    if name == "/admin" or name.startswith("/admin/"):
        return Rule("admin")
    reads = method in _READS or (method == "POST" and _READING_POSTS.fullmatch(name) is not None)
    stream = any(method == one and form.fullmatch(name) for one, form in _STREAMS)
    file = method == "GET" and _FILES.fullmatch(name) is not None
    return Rule("read" if reads else "write", stream=stream, file=file)


def is_openai(path: str) -> bool:
    """Whether the caller expects errors in OpenAI's form."""
    return path.startswith("/v1/")


def _name(path: str) -> str | None:
    """What a route is called whatever its prefix; None where no route of the API is."""
    for prefix in ("/api/v1", "/api"):
        if path == prefix or path.startswith(prefix + "/"):
            return path.removeprefix(prefix) or "/"
    return path if path == "/v1" or path.startswith("/v1/") else None
