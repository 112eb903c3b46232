"""Caps request bodies before anybody holds them in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polylogue.api.auth.rules import is_openai
from polylogue.api.errors import answer
from polylogue.api.openai.errors import in_openai_form


class BodyLimit:
    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._most_bytes:
            detail = f"The request is larger than {self._most_bytes // 1024} KiB."
            refusal = answer(413, "request_too_large", detail)
            await (in_openai_form(refusal) if is_openai(scope["path"]) else refusal)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
