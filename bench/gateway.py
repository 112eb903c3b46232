"""A model gateway whose text says when it was written: steady text, or a picture and then two times of its last byte."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import itertools
import re
import struct
import termios

import uvloop
from aiohttp import web

from bench import chunks
from bench.pictures import png
from bench.stamps import stamp

STEADY = "bench/steady"
PICTURE = "bench/picture"
BESIDE = 12  # models that can answer one prompt at once
EMPTY_CHECK_S = 0.0002
# `key=value` words of the prompt choose what is sent.
_OPTION = re.compile(r"\b(\w+)=(\d+)\b")
_seeds = itertools.count(1)


def entry(model: str, outputs: list[str]) -> dict[str, object]:
    return {
        "id": model,
        "name": model,
        "architecture": {"input_modalities": ["text"], "output_modalities": outputs},
        "pricing": {"prompt": "0", "completion": "0"},
        "context_length": 100_000,
    }


async def models(_: web.Request) -> web.Response:
    steady = [STEADY, *(f"{STEADY}-{number}" for number in range(2, BESIDE + 1))]
    return web.json_response(
        {"data": [*(entry(model, ["text"]) for model in steady), entry(PICTURE, ["image", "text"])]}
    )


async def complete(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    model, prompt = str(body["model"]), str(body["messages"][-1]["content"])
    options = {name: int(value) for name, value in _OPTION.findall(prompt)}
    # The picture is made before the answer begins: making it is not what is measured.
    whole = chunks.picture(png(options["size"], seed=next(_seeds)), model=model) if model == PICTURE else b""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(chunks.PROCESSING)
    if whole:
        await asyncio.sleep(options.get("think_ms", 0) / 1000)
        await response.write(whole)
        await _until_written(request)
        written = stamp()
        await _until_gone(request)
        await response.write(chunks.text(f"{written} {stamp()}", model=model))
    else:
        await _steadily(response, model, count=options["count"], pace_s=options["pace_ms"] / 1000)
    await response.write(chunks.end(model=model))
    await response.write_eof()
    return response


async def _steadily(response: web.StreamResponse, model: str, *, count: int, pace_s: float) -> None:
    """At times fixed from the start, so that a late chunk does not make the next one late."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number * pace_s - loop.time()))
        await response.write(chunks.text(stamp(), model=model))


async def _until_written(request: web.Request) -> None:
    """Until the kernel has taken every byte."""
    while request.transport is not None and request.transport.get_write_buffer_size():  # noqa: ASYNC110 (asyncio tells nobody)
        await asyncio.sleep(EMPTY_CHECK_S)


async def _until_gone(request: web.Request) -> None:
    """Until the other end's kernel has acknowledged every byte: some megabytes wait in ours until it takes them."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    while connection is not None and connection.fileno() >= 0:
        (waiting,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
        if waiting == 0:
            return
        await asyncio.sleep(EMPTY_CHECK_S)


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", complete)])
    web.run_app(
        app,
        host="127.0.0.1",
        port=arguments.parse_args().port,
        loop=uvloop.new_event_loop(),
        print=None,
        access_log=None,
    )


if __name__ == "__main__":
    main()
