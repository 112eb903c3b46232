"""W3C Trace Context: every request has one, from its header or made here, and every log line of it says so."""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polylogue.api.ending import ending
from polylogue.infra.logs import get_logger

HEADER = "traceparent"
ASKED_BY_MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})  # every few seconds
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.DOTALL)
_SHARED = re.compile(r"(/shared/)[^/]+")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)

log = get_logger("polylogue.api.access")


def current() -> str | None:
    """The traceparent of the request that is being answered."""
    return _current.get()


def valid(text: str | None) -> str | None:
    """The traceparent as it came; None where a reader has to ignore it."""
    match = _FORM.fullmatch(text) if text and len(text) <= 512 else None
    if match is None:
        return None
    version, trace, span, more = match.groups()
    # Version 00 has nothing after the flags; later ones may, and ff is no version.
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not span.strip("0"):
        return None
    return text


def made() -> str:
    random = secrets.token_hex(24)
    return f"00-{random[:32]}-{random[32:]}-01"


def loggable(path: str) -> str:
    """The path without the secret of a share link, which is part of it."""
    return _SHARED.sub(r"\1…", path)[:200]


class _Line:
    """What is written about a request when it has ended."""

    __slots__ = ("began", "method", "path", "status", "traceparent")

    def __init__(self, scope: Scope, traceparent: str) -> None:
        self.method, self.path, self.traceparent = scope["method"], scope["path"], traceparent
        self.status = 500
        self.began = time.monotonic()

    def write(self) -> None:
        say = log.debug if self.path in ASKED_BY_MACHINES else log.info
        say(
            "request",
            method=self.method,
            path=loggable(self.path),
            status=self.status,
            duration_ms=round((time.monotonic() - self.began) * 1000),
            traceparent=self.traceparent,
        )


class Trace:
    """Says the trace in the answer's headers and writes one line a request when it has ended, without its query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traceparent = valid(Headers(scope=scope).get(HEADER)) or made()
        _current.set(traceparent)
        line = _Line(scope, traceparent)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                line.status = message["status"]
                MutableHeaders(scope=message)[HEADER] = traceparent
            await send(message)

        with ending(scope) as end, structlog.contextvars.bound_contextvars(traceparent=traceparent):
            end.add(line.write)
            await self._app(scope, receive, told)
