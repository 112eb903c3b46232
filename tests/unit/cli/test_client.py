"""The client follows a turn through an API that drops, refuses and is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from polylogue.client import (
    ApiError,
    ClientError,
    ConnectionLostError,
    PolylogueClient,
    Received,
    UnreachableError,
)
from polylogue.schemas.frames import Frame, encode_frame
from tests.support.file_server import Handler, file_server
from tests.unit.cli.frames import CONVERSATION, TURN, Script

STREAM = "/api/v1/compare-stream"
RESUME = f"{STREAM}/{CONVERSATION}"


class FakeApi:
    """Answers request after request from a script, and remembers what it was asked."""

    def __init__(self, *answers: Handler) -> None:
        self._answers = list(answers)
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.dropped = 0

    def drop(self, why: str) -> None:
        assert why
        self.dropped += 1

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        return await self._answers.pop(0)(request)

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(request.method, request.path_qs) for request in self.asked]


def stream(*frames: Frame, cut: bool = False, head: bytes = b": hello\n\n") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(head)
        for frame in frames:
            await response.write(b"data: " + encode_frame(frame) + b"\n\n")
        if cut:
            await response.write(b'data: {"type": "chu')
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


def refusal(status: int, code: str, detail: str, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": detail, "code": code}, status=status, headers=headers)

    return answer


@asynccontextmanager
async def client_of(api: FakeApi, *, patience_s: float = 10) -> AsyncIterator[PolylogueClient]:
    async with (
        file_server(api.handle) as server,
        PolylogueClient(f"{server.origin}/", patience_s=patience_s, on_drop=api.drop) as client,
    ):
        yield client


async def frames_of(stream: AsyncIterator[Received]) -> list[Frame | None]:
    return [received.frame async for received in stream]


async def test_a_prompt_is_sent_with_a_key_and_its_frames_come_back() -> None:
    script = Script()
    frames = [
        script.turn("a"),
        script.start("a"),
        script.chunk("a", "ä" * 70_000),
        script.done("a"),
        script.complete(),
    ]
    api = FakeApi(stream(*frames))
    async with client_of(api) as client:
        assert await frames_of(client.submit("Hello", ["a"], system="Be kind.")) == frames
    assert api.bodies == [b'{"input_data": "Hello", "models": ["a"], "system": "Be kind."}']
    assert len(api.asked[0].headers["Idempotency-Key"]) == 32


async def test_a_dropped_stream_goes_on_after_the_last_whole_frame() -> None:
    script = Script()
    first, second = [script.start("a"), script.chunk("a", "x")], [script.chunk("a", "y")]
    third = [script.done("a"), script.complete()]
    api = FakeApi(stream(*first, cut=True), stream(*second), stream(*third))
    async with client_of(api) as client:
        assert await frames_of(client.submit("Hello", ["a"])) == first + second + third
    assert api.dropped == 2
    assert api.calls == [
        ("POST", STREAM),
        ("GET", f"{RESUME}?turn={TURN}&after=00000002"),
        ("GET", f"{RESUME}?turn={TURN}&after=00000003"),
    ]


async def test_what_dropped_before_its_first_frame_is_sent_again_with_the_same_key() -> None:
    script = Script()
    api = FakeApi(
        refusal(503, "outcome_unknown", "Nobody knows."),
        stream(cut=True),
        stream(script.start("a"), script.complete()),
    )
    async with client_of(api) as client:
        assert len(await frames_of(client.submit("Hello", ["a"]))) == 2
    assert [method for method, _ in api.calls] == ["POST"] * 3
    assert len({request.headers["Idempotency-Key"] for request in api.asked}) == 1


async def test_a_gap_is_shown_and_reading_goes_on_where_it_says() -> None:
    script = Script()
    gap = script.gap("00000000000042", "shutdown")
    api = FakeApi(stream(script.start("a"), gap), stream(script.complete()))
    async with client_of(api) as client:
        assert gap in await frames_of(client.submit("Hello", ["a"]))
    assert api.calls[1] == ("GET", f"{RESUME}?turn={TURN}&after=00000000000042")


async def test_nothing_left_ends_a_stream() -> None:
    async def nothing(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    script = Script()
    api = FakeApi(stream(script.chunk("a", "x")), nothing)
    async with client_of(api) as client:
        assert len(await frames_of(client.follow(CONVERSATION, turn_id=TURN))) == 1


async def test_following_a_turn_shows_all_its_rounds() -> None:
    script = Script()
    frames = [script.turn("a"), script.complete(), script.turn("b"), script.complete()]
    api = FakeApi(stream(*frames))
    async with client_of(api) as client:
        assert await frames_of(client.follow(CONVERSATION, turn_id=TURN)) == frames


async def test_unknown_frames_are_passed_on_undecoded() -> None:
    complete = Script().complete()
    api = FakeApi(stream(complete, head=b'data: {"type": "aurora", "id": "1"}\n\n'))
    async with client_of(api) as client:
        assert await frames_of(client.submit("Hello", ["a"])) == [None, complete]


async def test_a_refusal_is_the_sentence_of_the_api_and_is_not_repeated() -> None:
    api = FakeApi(refusal(400, "unknown_model", "There is no model x/y."))
    async with client_of(api) as client:
        with pytest.raises(ApiError, match=r"There is no model x/y\.") as caught:
            await frames_of(client.submit("Hello", ["x/y"]))
    assert (caught.value.status, caught.value.code) == (400, "unknown_model")
    assert len(api.asked) == 1


async def test_a_page_of_another_server_is_a_refusal_too() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=404, text="<html>")

    async with client_of(FakeApi(page)) as client:
        with pytest.raises(ApiError, match="answered 404"):
            await client.conversation("c1")


async def test_what_is_no_frame_is_refused() -> None:
    async with client_of(FakeApi(stream(head=b"data: {nonsense\n\n"))) as client:
        with pytest.raises(ClientError, match="no frame"):
            await frames_of(client.submit("Hello", ["a"]))


async def test_patience_ends_and_the_reason_is_said() -> None:
    api = FakeApi(*[refusal(503, "kafka_away", "Kafka does not answer.")] * 3)
    async with client_of(api, patience_s=0.001) as client:
        with pytest.raises(ConnectionLostError, match="Kafka does not answer"):
            await frames_of(client.submit("Hello", ["a"]))
    assert len(api.asked) == 2


async def test_nobody_there_is_said_at_once(unused_tcp_port: int) -> None:
    async with PolylogueClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(UnreachableError, match="the connection is refused"):
            await frames_of(client.submit("Hello", ["a"]))
        with pytest.raises(UnreachableError):
            await client.cancel("c1")


async def test_a_download_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    async def picture(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"png" * 100_000)

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with client_of(FakeApi(picture, cut)) as client:
        assert await client.download(f"{client.url}/m1.png", tmp_path / "m1.png") == 300_000
        with pytest.raises(ClientError, match="The download stopped"):
            await client.download(f"{client.url}/m2.png", tmp_path / "m2.png")
    assert sizes(tmp_path) == {"m1.png": 300_000}


def sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}
