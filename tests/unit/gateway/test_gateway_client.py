"""The client against a small real server: errors, drops, silence, cancellation, pictures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from polylogue.schemas.commands import ImageConfig
from polylogue.streams.gateway.client import Gateway, GatewayRefusedError
from polylogue.streams.gateway.events import Finished, GatewayEvent, MediaBytes, TextDelta, UpstreamError
from polylogue.streams.gateway.request import AudioRequest, ChatRequest, Message
from tests.unit.gateway.corpus import CASES, DONE, PNG, STOP, Case, chunk, image, picture

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[Gateway]]
ASK = ChatRequest(model="m", messages=(Message("user", "hi"),))


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(handler: Handler, **settings: Any) -> Gateway:
            app = web.Application(client_max_size=64 * 1024 * 1024)
            app.router.add_route("*", "/v1/{tail:.*}", handler)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            gateway = Gateway(base_url=str(server.make_url("/v1/")), api_key="sk-secret", **settings)
            return await stack.enter_async_context(gateway)

        yield start


async def opened(
    request: web.Request, content_type: str = "text/event-stream; charset=utf-8"
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    return response


async def ask(gateway: Gateway, request: ChatRequest = ASK) -> list[GatewayEvent]:
    async with contextlib.aclosing(gateway.stream(request)) as batches:
        return [event async for batch in batches for event in batch]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_recorded_stream_over_http_gives_its_events(serve: Serve, case: Case):
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(case.stream[:50])
        await response.write(case.stream[50:])
        return response

    request = ChatRequest(
        model="m",
        messages=ASK.messages,
        audio=AudioRequest("alloy", case.audio_format) if case.audio_format else None,
    )
    assert await ask(await serve(handler), request) == case.events


async def test_the_request_is_what_the_gateway_expects(serve: Serve):
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.update(path=request.path, key=request.headers["Authorization"], body=await request.json())
        return web.Response(body=DONE, content_type="text/event-stream")

    request = ChatRequest(
        model="a/b",
        messages=(Message("system", "s"), Message("user", ({"type": "text", "text": "x" * 2_000_000},))),
        modalities=("image", "text"),
        temperature=0.0,
        image_config=ImageConfig(aspect_ratio="16:9"),
        extra={"seed": 1, "stream": False},
    )
    assert await ask(await serve(handler), request) == [STOP]
    assert seen["path"] == "/v1/chat/completions"
    assert seen["key"] == "Bearer sk-secret"
    assert seen["body"] == {
        "model": "a/b",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "x" * 2_000_000}]},
        ],
        "stream": True,
        "usage": {"include": True},
        "modalities": ["image", "text"],
        "temperature": 0.0,
        "image_config": {"aspect_ratio": "16:9"},
        "seed": 1,
    }


async def test_text_arrives_while_the_model_still_speaks(serve: Serve):
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(chunk({"content": "a"}))
        await go_on.wait()
        await response.write(chunk({"content": "b"}, "stop") + DONE)
        return response

    batches = []
    async with contextlib.aclosing((await serve(handler)).stream(ASK)) as stream:
        async for batch in stream:
            batches.append(batch)
            go_on.set()
    assert batches == [[TextDelta("a")], [TextDelta("b"), STOP]]


async def test_large_pictures_arrive_whole_and_in_order(serve: Serve):
    large = [PNG * 4000 + bytes([number]) for number in range(3)]

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        for data in large:
            await response.write(chunk({"content": "x"}) + chunk(picture(data)))
        await response.write(DONE)
        return response

    assert await ask(await serve(handler)) == [
        event for data in large for event in (TextDelta("x"), image(data))
    ] + [STOP]


@pytest.mark.parametrize(
    ("status", "failure_class", "retryable"),
    [
        (401, "auth", False),
        (400, "invalid_request", False),
        (429, "rate_limited", True),
        (503, "upstream", True),
    ],
)
async def test_http_error_is_the_end_of_the_answer(
    serve: Serve, status: int, failure_class: str, retryable: bool
):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=status, headers={"Retry-After": "3"})

    (error,) = await ask(await serve(handler))
    assert isinstance(error, UpstreamError)
    assert (error.failure_class, error.retryable) == (failure_class, retryable)
    assert error.retry_after_s == (3.0 if retryable else None)


async def test_a_redirect_is_not_followed_with_the_key(serve: Serve):
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        raise web.HTTPTemporaryRedirect("/v1/elsewhere")

    (error,) = await ask(await serve(handler))
    assert isinstance(error, UpstreamError)
    assert error.failure_class == "protocol"
    assert calls == ["/v1/chat/completions"]


async def test_a_drop_in_mid_line_keeps_the_text_and_lets_no_half_picture_out(serve: Serve):
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(chunk({"content": "a"}, "stop") + chunk(picture(PNG))[:-50])
        assert request.transport is not None
        request.transport.close()
        return response

    text, error = await ask(await serve(handler))
    assert text == TextDelta("a")
    assert isinstance(error, UpstreamError)
    assert (error.failure_class, error.retryable) == ("connection", True)


async def test_nobody_listening_is_a_connection_failure(unused_tcp_port: int):
    async with Gateway(base_url=f"http://127.0.0.1:{unused_tcp_port}", api_key=None) as gateway:
        (error,) = await ask(gateway)
        with pytest.raises(GatewayRefusedError):
            await gateway.models()
    assert isinstance(error, UpstreamError)
    assert error.failure_class == "connection"


@pytest.mark.parametrize("setting", ["first_byte_timeout_s", "idle_timeout_s", "total_timeout_s"])
async def test_each_time_out_ends_the_answer_and_the_call(serve: Serve, setting: str):
    stopped = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if setting == "first_byte_timeout_s":
            await asyncio.Event().wait()
        response = await opened(request)
        await response.write(chunk({"content": "a"}))
        while True:  # comments are signs of life, but not without end
            await (asyncio.Event().wait() if setting == "idle_timeout_s" else asyncio.sleep(0.01))
            await response.write(b": working\n\n")

    gateway = await serve(watched(handler, stopped), **{setting: 0.2})
    async with asyncio.timeout(10):
        *text, error = await ask(gateway)
        await stopped.wait()
    assert text == ([] if setting == "first_byte_timeout_s" else [TextDelta("a")])
    assert isinstance(error, UpstreamError)
    assert (error.failure_class, error.retryable) == ("timeout", True)


def watched(handler: Handler, stopped: asyncio.Event) -> Handler:
    """The handler, ended when its client goes away."""

    async def run(request: web.Request) -> web.StreamResponse:
        task = asyncio.ensure_future(handler(request))
        try:
            while not task.done() and request.transport is not None and not request.transport.is_closing():
                await asyncio.wait([task], timeout=0.01)
        finally:
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled() or isinstance(task.exception(), ConnectionError):
                stopped.set()
        return web.Response()

    return run


@pytest.mark.parametrize("how", ["leave", "cancel"])
async def test_leaving_or_cancelling_closes_the_upstream_call(serve: Serve, how: str):
    stopped, first = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(chunk({"content": "a"}))
        await asyncio.Event().wait()
        return response

    gateway = await serve(watched(handler, stopped))

    async def listen() -> None:
        async with contextlib.aclosing(gateway.stream(ASK)) as stream:
            async for batch in stream:
                assert batch == [TextDelta("a")]
                first.set()
                if how == "leave":
                    break

    async with asyncio.timeout(10):
        task = asyncio.create_task(listen())
        await first.wait()
        if how == "cancel":
            task.cancel()
        await asyncio.wait([task])
        await stopped.wait()
    assert task.cancelled() == (how == "cancel")


async def test_cancelling_before_the_first_byte_closes_the_upstream_call(serve: Serve):
    stopped, asked = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    gateway = await serve(watched(handler, stopped))
    async with asyncio.timeout(10):
        task = asyncio.create_task(ask(gateway))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        await stopped.wait()
    assert task.cancelled()


async def test_an_endless_line_is_a_limit_and_ends_the_call(serve: Serve):
    stopped = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await opened(request)
        await response.write(b"data: ")
        while True:
            await response.write(b"A" * 65_536)

    gateway = await serve(watched(handler, stopped), max_media_bytes=1000)
    async with asyncio.timeout(20):
        (error,) = await ask(gateway)
        await stopped.wait()
    assert isinstance(error, UpstreamError)
    assert error.failure_class == "limit"


async def test_many_answers_at_once_do_not_mix(serve: Serve):
    async def handler(request: web.Request) -> web.StreamResponse:
        model = (await request.json())["model"]
        response = await opened(request)
        for _ in range(5):
            await response.write(chunk({"content": model}))
        await response.write(chunk(picture(PNG * 500 + model.encode()), "stop") + DONE)
        return response

    gateway = await serve(handler)
    answers = await asyncio.gather(
        *(ask(gateway, ChatRequest(model=str(number), messages=ASK.messages)) for number in range(12))
    )
    for number, events in enumerate(answers):
        assert events[:5] == [TextDelta(str(number))] * 5
        assert isinstance(events[5], MediaBytes)
        assert events[5].data.endswith(str(number).encode())
        assert isinstance(events[6], Finished)
