"""Answers that are JSON and whole in one message, held for a moment to be tagged or compressed; streams pass untouched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from polylogue.api.auth.rules import rule_for

Change = Callable[[dict[str, Any], bytes], Awaitable[bytes]]


def answers_json(scope: Scope) -> bool:
    """Whether the answer may be JSON. A stream's messages are not even looked at: there are a hundred thousand a second."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return scope["path"].startswith(("/api/", "/v1/")) and not rule_for("GET", scope["path"]).stream


class WholeJson:
    """A `send` that gives `change` the head and the body of a 200 in JSON, and sends what comes of them."""

    def __init__(self, send: Send, change: Change) -> None:
        self._send, self._change = send, change
        self._start: dict[str, Any] | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            plain = headers.get("content-type") == "application/json" and "content-encoding" not in headers
            if message["status"] == 200 and plain and "content-disposition" not in headers:
                self._start = dict(message)
                return
        elif self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body"):
                body = await self._change(start, message.get("body", b""))
                message = {"type": "http.response.body", "body": body}
            await self._send(start)
        await self._send(message)
