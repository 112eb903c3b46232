"""Serves the simulated models over HTTP as OpenRouter does."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from contextlib import suppress

import orjson
import structlog
from aiohttp import web

from polylogue.simulator import case_server, catalogue, chunks, endpoints, media, requests, scripts
from polylogue.simulator.chunks import Envelope
from polylogue.simulator.generations import Generation, Generations
from polylogue.simulator.serving import CACHE, GENERATIONS, KEY, json_response, read_request
from polylogue.simulator.streaming import ClientGoneError, Stream

LARGEST_REQUEST = 256 * 1024 * 1024  # bytes: a history full of pictures
RETRY_AFTER_S = 1
BUSY_LIMIT = 20  # requests a minute, as the headers of sim/busy say
PREFIXES = ("/api/v1", "/v1")  # OpenRouter's address and OpenAI's
STOP_S = 1.0  # streams still running at a stop are cut after this


async def _models(_: web.Request) -> web.Response:
    # Open to all, as with OpenRouter.
    return json_response({"data": catalogue.entries()})


async def _stats(request: web.Request) -> web.Response:
    return json_response(request.app[GENERATIONS].stats())


async def _generations(request: web.Request) -> web.Response:
    return json_response({"data": request.app[GENERATIONS].recent()})


def _busy() -> web.Response:
    limits = {
        "X-RateLimit-Limit": str(BUSY_LIMIT),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(round((time.time() + RETRY_AFTER_S) * 1000)),
    }
    metadata = {"provider_name": chunks.PROVIDER, "headers": limits}
    body = chunks.error_body(429, "Rate limit exceeded: free-models-per-min. ", metadata)
    return json_response(body, 429, {"Retry-After": str(RETRY_AFTER_S), **limits})


async def _chat(request: web.Request) -> web.StreamResponse:
    generations = request.app[GENERATIONS]
    chat = await read_request(request, prompted=False)
    if isinstance(chat, web.Response):
        return chat
    if case_server.is_case(chat):
        return await case_server.answer(request, chat)
    if chat.model.id == "sim/refused":
        generations.refuse()
        return json_response(chunks.error_body(401, "User not found."), 401)
    if chat.model.id == "sim/busy":
        generations.refuse()
        return _busy()
    envelope = Envelope(
        id=f"gen-{int(time.time())}-{secrets.token_hex(10)}", model=chat.asked_model, created=int(time.time())
    )
    generation = generations.start(envelope.id, chat.asked_model, chat.prompt, stream=chat.stream)
    try:
        if chat.stream:
            return await _streamed(request, chat, envelope, generation)
        return await _whole(request, chat, envelope, generation)
    except ClientGoneError:
        # aiohttp wants a response; there is nobody to read it.
        return web.Response(status=499)
    finally:
        # A second outcome is ignored, so this counts what ended in no other way: client gone, server stopped.
        generations.end(generation, "aborted")


async def _streamed(
    request: web.Request, chat: requests.ChatRequest, envelope: Envelope, generation: Generation
) -> web.StreamResponse:
    script = scripts.write(chat)
    stream = Stream(request, envelope, script, generation, request.app[CACHE])
    response = await stream.run()
    # Counted before the last bytes leave: who has read the end may ask for the counts.
    request.app[GENERATIONS].end(generation, "failed" if script.breaks else "finished")
    await stream.end()
    return response


async def _whole(
    request: web.Request, chat: requests.ChatRequest, envelope: Envelope, generation: Generation
) -> web.StreamResponse:
    script, cache = scripts.write(chat), request.app[CACHE]

    def build() -> tuple[bytes, list[media.Sent]]:
        contents = [cache.make(recipe) for recipe in script.recipes]
        message = chunks.message(envelope, script, contents)
        body = envelope.completion(message, script.finish_reason, script.usage)
        sent = [media.sent(recipe, content) for recipe, content in zip(script.recipes, contents, strict=True)]
        return orjson.dumps(body), sent

    body, sent = await asyncio.to_thread(build)
    said = script.usage.text_tokens + script.usage.reasoning_tokens
    await asyncio.sleep(script.delay + script.pace * said)
    headers = {"X-Generation-Id": envelope.id}
    if (broken := script.breaks) is not None:
        request.app[GENERATIONS].end(generation, "failed")
        metadata = {"provider_name": chunks.PROVIDER}
        return json_response(chunks.error_body(broken.code, broken.message, metadata), broken.code, headers)
    generation.media += sent
    request.app[GENERATIONS].end(generation, "finished")
    return web.Response(body=body, content_type="application/json", headers=headers)


def create_app(*, key: str | None = None) -> web.Application:
    """With a key, chat completions want it as bearer token; without, any or none will do."""
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app[KEY] = key or ""
    app[GENERATIONS] = Generations()
    app[CACHE] = media.Cache()
    for prefix in PREFIXES:
        app.router.add_get(f"{prefix}/models", _models)
        app.router.add_post(f"{prefix}/chat/completions", _chat)
    endpoints.add_routes(app, PREFIXES)
    app.router.add_get("/sim/stats", _stats)
    app.router.add_get("/sim/generations", _generations)
    return app


def create_runner(*, key: str | None = None) -> web.AppRunner:
    """The application as it is served: a closed connection cancels its answer at once."""
    app = create_app(key=key)
    return web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S, handler_cancellation=True)


async def serve(host: str, port: int, *, key: str | None = None, stop_on_signals: bool = True) -> None:
    """Runs until SIGTERM, SIGINT or cancellation. Port 0 takes a free one; the log line names it."""
    log = structlog.get_logger("polylogue.simulator")
    runner = create_runner(key=key)
    await runner.setup()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT) if stop_on_signals else ()
    try:
        await web.TCPSite(runner, host, port).start()
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        bound = runner.addresses[0][1]
        log.info("simulator_ready", url=f"http://{host}:{bound}/api/v1", key_required=bool(key))
        await stop.wait()
    finally:
        for number in signals:
            with suppress(ValueError):
                loop.remove_signal_handler(number)
        await runner.cleanup()
