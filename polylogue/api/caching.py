"""Entity tags: a client that has an answer already is told so, and no byte of it goes out again.

The tag is weak. Signed URLs differ from process to process and from hour to hour, and are left out of it; what stands in
for them is the quarter of their life that it is now, so that an answer that was kept never holds one that is over.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from polylogue.api.byte_range import not_modified
from polylogue.api.whole_json import WholeJson, answers_json

# Within a string quotes are escaped, so that this is a field and no part of what somebody wrote.
_SIGNED_URL = re.compile(rb'("(?:media_)?url":"[^"?]*)\?[^"]*"')
_TO_BE_ASKED = "private, no-cache"


class EntityTags:
    def __init__(self, app: ASGIApp, url_life_s: int, clock: Callable[[], float] = time.time) -> None:
        self._app, self._clock = app, clock
        self._same_for_s = url_life_s / 4

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not answers_json(scope):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("if-none-match")

        async def tagged(start: dict[str, Any], body: bytes) -> bytes:
            headers = MutableHeaders(scope=start)
            if "etag" in headers or "no-store" in headers.get("cache-control", ""):
                return body
            tag = tag_of(body, int(self._clock() / self._same_for_s))
            headers["ETag"] = f"W/{tag}"
            headers.setdefault("Cache-Control", _TO_BE_ASKED)
            headers.add_vary_header("Authorization")
            headers.add_vary_header("Cookie")
            if asked is None or not not_modified(asked, tag):
                return body
            start["status"] = 304
            for name in ("content-length", "content-type"):
                del headers[name]
            return b""

        await self._app(scope, receive, WholeJson(send, tagged))


def tag_of(body: bytes, quarter: int) -> str:
    """`quarter` counts only where an address in the body is signed."""
    told, signed = _SIGNED_URL.subn(rb'\1"', body)
    digest = hashlib.sha256(told)
    if signed:
        digest.update(b"%d" % quarter)
    return f'"{digest.hexdigest()[:32]}"'
