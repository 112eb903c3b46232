"""Compresses JSON for clients that take gzip; streams, files and parts of files go out as they are."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from polylogue.api.whole_json import WholeJson, answers_json

LEAST_BYTES = 1024  # less fits into a packet as it is
_OFF_THE_LOOP_BYTES = 64 * 1024  # takes more than a millisecond
_LEVEL = 5
_GZIP = re.compile(r"(?:x-)?gzip|\*")


class Compression:
    """Only GET is compressed: no answer to it holds a secret beside what a stranger may have put there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not answers_json(scope):
            await self._app(scope, receive, send)
            return
        taken = takes_gzip(Headers(scope=scope).get("accept-encoding", ""))

        async def compressed(start: dict[str, Any], body: bytes) -> bytes:
            headers = MutableHeaders(scope=start)
            headers.add_vary_header("Accept-Encoding")
            if not taken or len(body) < LEAST_BYTES:
                return body
            if len(body) < _OFF_THE_LOOP_BYTES:
                small = gzip.compress(body, _LEVEL, mtime=0)
            else:
                small = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(small))
            return small

        await self._app(scope, receive, WholeJson(send, compressed))


def takes_gzip(accepted: str) -> bool:
    """As Accept-Encoding says; a weight of nothing is a refusal, and what is named counts before `*`."""
    weights: dict[str, bool] = {}
    for one in accepted.lower().split(","):
        name, _, parameters = one.partition(";")
        if _GZIP.fullmatch(name.strip()):
            weights[name.strip().removeprefix("x-")] = not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return weights.get("gzip", weights.get("*", False))
