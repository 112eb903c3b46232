"""Paces and writes one streamed answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from aiohttp import web

from polylogue.simulator import chunks, media, scripts
from polylogue.simulator.generations import Generation

WRITE_SLICE = 256 * 1024  # bytes: between two slices a closed connection is noticed
COMMENT_EVERY_S = 1.0  # comments keep the connection open while the model says nothing


class ClientGoneError(Exception):
    """A write found the connection closed; while nothing is written, the server cancels instead."""


@contextmanager
def _noticing_reset() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise ClientGoneError from error


class Stream:
    """The answer to one request; `run` once."""

    def __init__(
        self,
        request: web.Request,
        envelope: chunks.Envelope,
        script: scripts.Script,
        generation: Generation,
        cache: media.Cache,
    ) -> None:
        self._request = request
        self._envelope = envelope
        self._script = script
        self._generation = generation
        self._cache = cache
        self._response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Generation-Id": envelope.id,
            }
        )

    async def run(self) -> web.StreamResponse:
        """Everything but the end of the answer; raises ClientGoneError."""
        with _noticing_reset():
            await self._response.prepare(self._request)
        await self._write(chunks.COMMENT)
        pause = self._script.delay
        for step in self._script.steps:
            events, medium = await self._prepare(step)
            for event in events:
                await self._pause(pause)
                await self._write(event)
                self._generation.pieces += 1
                pause = self._script.pace
            if medium is not None:
                self._generation.media.append(medium)
        if self._script.breaks is None:
            for chunk in chunks.closing_chunks(self._envelope, self._script):
                await self._write(chunks.event(chunk))
        return self._response

    async def end(self) -> None:
        if self._script.breaks is None:
            await self._write(chunks.DONE)
        with _noticing_reset():
            await self._response.write_eof()

    async def _prepare(self, step: scripts.Step) -> tuple[Iterable[bytes], media.Sent | None]:
        if not isinstance(step, scripts.Show | scripts.Speak):
            return map(chunks.event, chunks.step_chunks(self._envelope, step)), None

        def build() -> tuple[list[bytes], media.Sent]:
            content = self._cache.make(step.recipe)
            events = [chunks.event(chunk) for chunk in chunks.step_chunks(self._envelope, step, content)]
            return events, media.sent(step.recipe, content)

        # Drawing, encoding and base64 take up to seconds, which the other streams must not feel.
        return await asyncio.to_thread(build)

    async def _pause(self, seconds: float) -> None:
        while seconds > COMMENT_EVERY_S:
            await asyncio.sleep(COMMENT_EVERY_S)
            await self._write(chunks.COMMENT)
            seconds -= COMMENT_EVERY_S
        # Even without a pace the other streams get their turn between two chunks.
        await asyncio.sleep(seconds)

    async def _write(self, content: bytes) -> None:
        with _noticing_reset():
            await _write_sliced(self._response, content)


async def write_paced(
    request: web.Request,
    events: Iterable[bytes],
    generation: Generation,
    *,
    delay: float,
    pace: float,
    finish: Callable[[], None],
) -> web.StreamResponse:
    """A stream of ready events; `finish` is called before the last of them leaves. Raises ClientGoneError."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    with _noticing_reset():
        await response.prepare(request)
        pause, last = delay, b""
        for event in events:
            if last:
                await asyncio.sleep(pause)
                await _write_sliced(response, last)
                generation.pieces += 1
                pause = pace
            last = event
        await asyncio.sleep(pause)
        finish()
        await _write_sliced(response, last)
        await response.write_eof()
    return response


async def _write_sliced(response: web.StreamResponse, content: bytes) -> None:
    view = memoryview(content)
    for start in range(0, len(view), WRITE_SLICE):
        await response.write(view[start : start + WRITE_SLICE])
