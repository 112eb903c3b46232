"""A translated stream: what is written, what becomes of a client that leaves, and of a reader that was cut for slowness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest
from prometheus_client import Gauge
from starlette.types import Message

from polylogue.api import turn_frames
from polylogue.api.auth.open_streams import OPEN_STREAM, OpenStream
from polylogue.api.openai.answer import WholeAnswer
from polylogue.api.openai.completion import Chunks, Whole
from polylogue.api.services import Services
from polylogue.api.subscription import Subscription
from polylogue.api.translated_stream import (
    DONE,
    KEEPALIVE,
    TranslatedStream,
    nothing_to_do,
    unchanged,
)
from polylogue.api.turn_frames import TurnFrames, decoded
from polylogue.schemas.frames import Frame, KeepaliveFrame, encode_frame
from tests.support.frames import COMPLETE, MINE, TURN, chunk, cut, done


class Turn:
    """Frames from a list; with `endless` nothing more comes until the reader leaves."""

    def __init__(self, *seen: Frame, endless: bool = False) -> None:
        self._seen, self._endless = seen, endless
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._left.set()

    async def frames(self) -> AsyncGenerator[Frame]:
        for frame in self._seen:
            yield frame
        if self._endless:
            await self._left.wait()


class Client:
    """One ASGI connection: what was sent to it; it leaves once `leaves_after` bodies have come."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self._leaves_after = leaves_after
        self._gone = asyncio.Event()
        if leaves_after == 0:
            self._gone.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self._leaves_after is not None and len(self.sent) > self._leaves_after:
            self._gone.set()
            await asyncio.sleep(0)

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}


async def served(turn: Turn, client: Client) -> bool:
    """Whether the client was taken to have left before the end."""
    left = False

    async def gone() -> None:
        nonlocal left
        left = True

    chunks = Chunks(MINE, "sim/text", 1)
    stream = TranslatedStream(cast("TurnFrames", turn), chunks, headers={"X-Turn-Id": TURN}, gone=gone)
    await stream({"type": "http", "method": "POST"}, client.receive, client.send)
    return left


async def test_a_turn_is_written_to_its_end() -> None:
    client = Client()
    assert not await served(Turn(KeepaliveFrame(), chunk("a"), done(), COMPLETE, endless=True), client)

    assert client.sent[0]["status"] == 200
    assert (b"x-turn-id", TURN.encode()) in client.sent[0]["headers"]
    assert client.body.startswith(KEEPALIVE + b"data: {")
    assert client.body.endswith(DONE)
    assert client.sent[-1]["more_body"] is False


async def test_a_client_that_leaves_is_noticed_while_nothing_comes() -> None:
    assert await served(Turn(chunk("a"), endless=True), Client(leaves_after=1))
    assert await served(Turn(endless=True), Client(leaves_after=0))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/ai-sdk/chat"])
@pytest.mark.parametrize("whole", [True, False])
async def test_whoever_lost_their_key_before_anything_was_written_is_told_so(
    path: str, *, whole: bool
) -> None:
    client, opened = Client(leaves_after=0), OpenStream("key:ended")
    opened.end()
    turn, scope = (
        cast("TurnFrames", Turn(endless=True)),
        {"type": "http", "method": "POST", "path": path, OPEN_STREAM: opened},
    )
    if whole:
        answer = Whole(MINE, "sim/text", 1)
        await WholeAnswer(turn, answer, headers={}, gone=nothing_to_do, seen=unchanged)(
            scope, client.receive, client.send
        )
    else:
        chunks = Chunks(MINE, "sim/text", 1)
        await TranslatedStream(turn, chunks, headers={})(scope, client.receive, client.send)
    assert client.sent[0]["status"] == 401
    told = json.loads(client.body)
    assert (told["error"] if path.startswith("/v1/") else told)["code"] in {
        "invalid_api_key",
        "not_signed_in",
    }


async def test_a_client_that_left_before_anything_was_written_is_no_fault_of_the_server() -> None:
    client = Client(leaves_after=0)
    assert await served(Turn(endless=True), client)
    assert client.sent[0]["status"] == 499


async def test_a_failure_before_anything_was_written_is_a_status() -> None:
    client = Client()
    assert not await served(Turn(done("error", message="It broke."), COMPLETE), client)

    assert client.sent[0]["status"] == 502
    assert b"It broke." in client.body


async def test_frames_that_end_before_the_turn_are_told() -> None:
    client = Client()
    assert not await served(Turn(chunk("a")), client)

    assert b'"error"' in client.body
    assert client.body.endswith(DONE)


class Pieces:
    """A subscription as far as it is read here."""

    def __init__(self, *pieces: list[Frame]) -> None:
        self._pieces = pieces
        self.left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def leave(self) -> None:
        self.left = True

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield b"".join(b"data: " + encode_frame(frame) + b"\n\n" for frame in piece)


def turn_of(subscription: Pieces) -> TurnFrames:
    gauge = Gauge("subscribers", "", registry=None)
    services = cast("Services", SimpleNamespace(metrics=SimpleNamespace(subscribers=gauge)))
    return TurnFrames(services, "local", "c" * 32, TURN, cast("Subscription", subscription))


async def test_a_reader_that_was_too_slow_goes_on_where_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def placed(*_: object) -> None:
        pass

    async def subscribe(*_: object, after: object, **__: object) -> Pieces:
        asked.append(str(after))
        return Pieces([chunk("b"), COMPLETE])

    monkeypatch.setattr(turn_frames, "placed", placed)
    monkeypatch.setattr(turn_frames, "subscribe", subscribe)
    turn = turn_of(Pieces([chunk("a")], [cut("slow")]))

    assert [frame async for frame in turn.frames()] == [chunk("a"), chunk("b"), COMPLETE]
    assert asked == [cut().resume_from]


async def test_a_server_that_stops_is_told_to_the_reader() -> None:
    turn = turn_of(Pieces([chunk("a"), cut("shutdown")]))
    assert [frame async for frame in turn.frames()] == [chunk("a"), cut("shutdown")]


def test_what_is_no_frame_known_here_is_passed_over() -> None:
    piece = b': comment\n\ndata: {"type":"of_tomorrow"}\n\ndata: ' + encode_frame(chunk("a\n\nb")) + b"\n\n"
    assert list(decoded(piece)) == [chunk("a\n\nb")]
