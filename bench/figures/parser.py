"""How fast the gateway's stream is parsed, beside the clients that most programs use."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence

import httpx
import httpx2
import httpx_sse
import openai
import orjson

from bench import chunks
from bench.figure import RUNS, Figure, Series, Table, Target
from bench.pictures import MB, png
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.framing import Framing

PIECE = 64 * 1024  # what one read of a socket brings from a fast gateway
TEXT_CHUNKS = 2000
PICTURE_BYTES = 10 * MB
WANTED = Target(3, at_most=False)
URL = "http://gateway.invalid/v1/chat/completions"


class Pieces(httpx.SyncByteStream, httpx2.SyncByteStream):
    """The recorded bytes as a transport hands them on; the SDK has another generation of httpx than httpx-sse."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def polylogue(pieces: Sequence[bytes]) -> int:
    """Typed events; pictures are decoded, hashed and compared as well."""
    framing, adapter, count = Framing(), ChatCompletions(), 0
    for piece in pieces:
        for frame in framing.feed(piece):
            count += len(adapter.feed(frame))
    return count


def framing_alone(pieces: Sequence[bytes]) -> int:
    """Documents, as httpx-sse and orjson give them."""
    framing, count = Framing(), 0
    for piece in pieces:
        for frame in framing.feed(piece):
            if frame.data != b"[DONE]":
                orjson.loads(frame.data)
                count += 1
    return count


def with_httpx_sse(pieces: Sequence[bytes]) -> int:
    """Documents; nothing in them is looked at."""
    headers, request = {"Content-Type": "text/event-stream"}, httpx.Request("POST", URL)
    response = httpx.Response(200, headers=headers, stream=Pieces(pieces), request=request)
    count = 0
    for event in httpx_sse.EventSource(response).iter_sse():
        if event.data != "[DONE]":
            orjson.loads(event.data)
            count += 1
    return count


def with_openai(pieces: Sequence[bytes]) -> int:
    """Typed chunks; a picture is a field that the types do not know, and stays base64."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Pieces(pieces))

    with openai.OpenAI(
        api_key="none", base_url=URL, http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    ) as client:
        stream = client.chat.completions.create(
            model="bench/text", messages=[{"role": "user", "content": "?"}], stream=True
        )
        return sum(1 for _ in stream)


PARSERS: dict[str, Callable[[Sequence[bytes]], int]] = {
    "Polylogue": polylogue,
    "Polylogue's framing + orjson": framing_alone,
    "httpx-sse + orjson": with_httpx_sse,
    "openai SDK": with_openai,
}

# The first two do the same work on both sides; in the third only ours looks into the documents.
PAIRS = (
    ("Polylogue's framing + orjson", "httpx-sse + orjson", WANTED),
    ("Polylogue", "openai SDK", WANTED),
    ("Polylogue", "httpx-sse + orjson", None),
)


async def run(quick: bool) -> list[Series]:
    table = Table()
    streams = {
        f"{TEXT_CHUNKS} text chunks": chunks.answer(TEXT_CHUNKS),
        "the same and a 10 MB picture": chunks.answer(TEXT_CHUNKS, (png(PICTURE_BYTES, seed=1),)),
    }
    for stream_name, stream in streams.items():
        pieces = [stream[at : at + PIECE] for at in range(0, len(stream), PIECE)]
        for parse in PARSERS.values():
            assert parse(pieces) >= TEXT_CHUNKS  # also warms up
        for _ in range(1 if quick else 2 * RUNS + 1):
            seconds = {name: _seconds(parse, pieces) for name, parse in PARSERS.items()}
            for name, spent in seconds.items():
                table.add(f"{stream_name}: {name}", "MB/s", len(stream) / MB / spent)
                table.add(f"{stream_name}: {name}", "chunks/s", TEXT_CHUNKS / spent)
            for ours, theirs, target in PAIRS:
                ratio = seconds[theirs] / seconds[ours]
                table.add(f"{stream_name}: {ours} over {theirs}", "×", ratio, target)
    return table.series()


def _seconds(parse: Callable[[Sequence[bytes]], int], pieces: Sequence[bytes]) -> float:
    gc.collect()
    begun = time.perf_counter()
    parse(pieces)
    return time.perf_counter() - begun


FIGURE = Figure(
    "parser",
    "From the first byte of a recorded answer, in memory in pieces of 64 KiB, to the event of its last byte. "
    "Polylogue gives typed events and decodes, hashes and compares pictures; the others leave them in base64.",
    run,
)
