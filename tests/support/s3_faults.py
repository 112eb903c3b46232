"""A proxy in front of an S3 server that refuses, hangs, breaks off or loses answers, as a test says of each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

Operation = Literal["head", "get", "put", "create", "part", "complete", "abort", "delete", "list"]
Fault = Literal[
    "503",
    "hang",  # never answers
    "reset",  # breaks off when half of the body has gone through
    "lost",  # carried out, and the answer does not come back
    "200 error",
    "held",  # waits for `release`, then goes through
]

_ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Asked:
    operation: Operation
    key: str


class S3Faults:
    """`choose` is asked for every request and says what happens to it; None lets it through."""

    def __init__(self, host: str, port: int, choose: Callable[[Asked], Fault | None]) -> None:
        self._target = (host, port)
        self._choose = choose
        self._connections: set[asyncio.StreamWriter] = set()
        self._released = asyncio.Event()
        self.done: list[tuple[Asked, Fault]] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=256 * 1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.release()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    def release(self) -> None:
        self._released.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
                await writer.drain()
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        asked = _asked(method, target)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get("content-length", 0))
        fault = self._choose(asked)
        if fault is not None:
            self.done.append((asked, fault))
        if fault in ("503", "200 error", "hang"):
            await _skip(reader, length)
            if fault == "hang":
                await reader.read()  # until the other side has had enough
                return None
            status, code = ("503 Slow Down", "SlowDown") if fault == "503" else ("200 OK", "InternalError")
            return writer.write(_reply(status, _ERROR.format(code)))
        if fault == "held":
            body = await reader.readexactly(length)
            await self._released.wait()
            reader = asyncio.StreamReader()
            reader.feed_data(body)
        upstream_reader, upstream = await asyncio.open_connection(*self._target)
        self._connections.add(upstream)
        try:
            kept = [one for one in fields if one.lower().partition(":")[0] not in ("expect", "connection")]
            upstream.write("\r\n".join([line, *kept, "Connection: close", "", ""]).encode("latin-1"))
            await _pass_on(reader, upstream, length // 2 if fault == "reset" else length)
            if fault == "reset":
                return writer.transport.abort()
            reply = await upstream_reader.read()
            if fault == "lost":
                return writer.transport.abort()
            return writer.write(reply)
        finally:
            self._connections.discard(upstream)
            upstream.transport.abort()


async def _skip(reader: asyncio.StreamReader, length: int) -> None:
    while length > 0:
        length -= len(await reader.readexactly(min(_PIECE, length)))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    while length > 0:
        piece = await reader.readexactly(min(_PIECE, length))
        length -= len(piece)
        writer.write(piece)
        await writer.drain()


def _reply(status: str, body: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()


def _asked(method: str, target: str) -> Asked:
    path = urlsplit(target)
    query = parse_qs(path.query, keep_blank_values=True)
    key = unquote(path.path.lstrip("/").partition("/")[2])
    operations: dict[str, Operation] = {
        "HEAD": "head",
        "GET": "list" if "list-type" in query else "get",
        "POST": "create" if "uploads" in query else "complete",
        "PUT": "part" if "partNumber" in query else "put",
        "DELETE": "abort" if "uploadId" in query else "delete",
    }
    return Asked(operations[method], key)
