"""A file under way ends when its reader leaves, or must: also while nothing moves."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from polylogue.api.auth.rules import rule_for
from polylogue.api.byte_stream import ByteStream, Downloads
from polylogue.media.reading import BackgroundPieces
from polylogue.media.threads import DaemonThreads

SCOPE: Any = {"type": "http"}


def endless(closed: list[bool]) -> Generator[bytes]:
    try:
        while True:
            yield b"x"
    finally:
        closed.append(True)


async def test_a_reader_that_takes_nothing_and_must_leave_is_left() -> None:
    threads, downloads, closed = DaemonThreads(1, "test"), Downloads(1), list[bool]()
    assert await downloads.take()
    stream = ByteStream(b"first", BackgroundPieces(threads, endless(closed)), downloads, headers={})
    must_leave, stuck = asyncio.Event(), asyncio.Event()
    sent: list[Any] = []

    async def receive() -> Any:
        await must_leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body") == b"x":
            stuck.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(stream(SCOPE, receive, send))
    await stuck.wait()
    must_leave.set()
    async with asyncio.timeout(10):
        await running
        assert await downloads.take(), "the place is free again"
        while not closed:
            await asyncio.sleep(0.01)
    assert sent[-1].get("more_body"), "what is not whole is not ended as if it were"
    threads.close()


async def test_a_file_that_is_read_to_its_end_is_ended() -> None:
    threads, downloads = DaemonThreads(1, "test"), Downloads(1)
    assert await downloads.take()
    pieces = BackgroundPieces(threads, (piece for piece in (b"second", b"third")))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    await ByteStream(b"first", pieces, downloads, headers={})(SCOPE, receive, send)
    assert b"".join(one.get("body", b"") for one in sent) == b"firstsecondthird"
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    threads.close()


def test_files_are_ended_with_the_key_that_opened_them_and_are_no_streams() -> None:
    for path in ("/conversations/c/media.zip", "/conversations/c/export", "/media/m/content"):
        rule = rule_for("GET", f"/api/v1{path}")
        assert (rule.file, rule.stream, rule.takes_ticket) == (True, False, False)
    shared = rule_for("GET", "/api/shared/secret/media/m/content")
    assert (shared.need, shared.file, shared.link) == ("nothing", True, "secret")
    assert rule_for("GET", "/api/shared/secret").link is None
    assert not rule_for("GET", "/api/conversations/c").file
    assert not rule_for("HEAD", "/api/media/m/content").file
