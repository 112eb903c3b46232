"""Asks the gateway over HTTP and yields its answer as events; closing the iterator closes the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Self

import aiohttp

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway import large_json, questions
from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.catalogue import ModelInfo, read_catalogue
from polylogue.streams.gateway.events import GatewayEvent, JobStarted, UpstreamError
from polylogue.streams.gateway.framing import Frame, Framing
from polylogue.streams.gateway.line_ahead import EarlyTaker, MediaAhead
from polylogue.streams.gateway.line_budget import LineBudget
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.raw_body import raw_media_type, read_raw
from polylogue.streams.gateway.request import ChatRequest
from polylogue.streams.gateway.retries import OnRetry, Retries
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.transport import FAILURES, UNREACHABLE, Transport, read_capped, refusal_of
from polylogue.streams.gateway.video_jobs import VideoJobs

# Larger frames hold pictures: decoding and hashing them would hold up every other answer of this process.
OFF_LOOP_BYTES = 256 * 1024
CATALOGUE_BYTES = 32 * MIB


class GatewayRefusedError(Exception):
    """The gateway did not answer a question that is no chat; `error` says why."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


class Gateway:
    """Use as an async context manager, or `close` it. One is enough for any number of answers at once."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        connect_timeout_s: float = 10.0,  # also the TLS handshake
        first_byte_timeout_s: float = 180.0,  # some image models send nothing at all until they are done
        idle_timeout_s: float = 120.0,  # comments count as a sign of life
        total_timeout_s: float = 900.0,
        max_media_bytes: int = 100 * MIB,
        max_line_bytes: int = 140 * MIB,  # base64 is a third longer, and there is JSON around it
        retry_for_s: float = 0.0,  # how long 429 and 5xx are retried while nothing of the answer has come
        on_retry: OnRetry | None = None,  # called before each wait
        on_bytes: Callable[[int], None]
        | None = None,  # called with the size of all that is read of an answer
        video_poll_interval_s: float = 10.0,
        video_deadline_s: float = 900.0,
    ) -> None:
        self._transport = Transport(
            base_url=base_url,
            api_key=api_key,
            connect_timeout_s=connect_timeout_s,
            idle_timeout_s=idle_timeout_s,
        )
        self._jobs = VideoJobs(
            self._transport, poll_interval_s=video_poll_interval_s, deadline_s=video_deadline_s
        )
        self._first_byte_timeout = first_byte_timeout_s
        self._idle_timeout = idle_timeout_s
        self._total_timeout = total_timeout_s
        self._max_media = max_media_bytes
        self._max_line = max_line_bytes
        self._lines = LineBudget()
        self._retry_for = retry_for_s
        self._on_retry = on_retry
        self._on_bytes = on_bytes
        self._protocols: dict[str, Protocol] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def stream(
        self, request: ChatRequest, *, early: EarlyTaker | None = None
    ) -> AsyncGenerator[list[GatewayEvent]]:
        """Lists of events as the network brings them; the last event is `Finished` or `UpstreamError`. `early` is given
        what looks like a medium while it still arrives; it decides nothing.

        Speaks the protocol that the request names, or else the one that the list of models (as `models` got it last)
        names for the model. Never raises for what the gateway does. Wrap it in `contextlib.aclosing`: leaving it
        closes the connection, and with that stops the model.
        """
        loop = asyncio.get_running_loop()
        protocol = request.protocol or self._protocol_of(request.model)
        retries = Retries(protocol, until=loop.time() + self._retry_for)
        wait: float | None = 0.0
        while wait is not None:
            await asyncio.sleep(wait)
            wait, begun = None, False
            async with aclosing(self._attempt(protocol, request, early)) as attempt:
                async for events in attempt:
                    wait = None if begun else retries.wait_s(events, loop.time())
                    if wait is not None:
                        break
                    begun = True
                    yield events
            if wait is not None and self._on_retry is not None and isinstance(events[0], UpstreamError):
                self._on_retry(events[0])

    async def resume_job(
        self, *, media_type: MediaType, job_id: str, polling_url: str
    ) -> AsyncGenerator[list[GatewayEvent]]:
        """Polls a job that `JobStarted` told of, perhaps in another process. Yields and ends as `stream` does."""
        async with aclosing(self._jobs.follow(JobStarted(media_type, job_id, polling_url))) as job:
            async for events in job:
                yield events

    async def models(self) -> list[ModelInfo]:
        """What the gateway offers. Raises GatewayRefusedError."""
        deadline = asyncio.get_running_loop().time() + self._first_byte_timeout
        try:
            url = self._transport.resolve("models")
            assert url is not None  # a word without any sign in it
            reply = await self._transport.get(url, until=deadline, limit=CATALOGUE_BYTES)
            if reply.status != 200:
                raise GatewayRefusedError(refusal_of(reply))
            models = read_catalogue(large_json.loads(reply.body))
        except TimeoutError as error:
            raise GatewayRefusedError(self._transport.failure(error, deadline)) from None
        except (aiohttp.ClientError, OSError):
            raise GatewayRefusedError(UNREACHABLE) from None
        except ValueError:
            raise GatewayRefusedError(
                UpstreamError("protocol", "The gateway's list of models is not JSON.", retryable=True)
            ) from None
        self._protocols = {model.id: model.protocol for model in models}
        return models

    def _protocol_of(self, model: str) -> Protocol:
        """Of the model, or of the one that it is a variant of (`name:variant`)."""
        return self._protocols.get(model) or self._protocols.get(model.partition(":")[0], "chat")

    def _attempt(
        self, protocol: Protocol, request: ChatRequest, early: EarlyTaker | None
    ) -> AsyncGenerator[list[GatewayEvent]]:
        if protocol == "videos":
            return self._jobs.order(questions.body(protocol, request), accept_s=self._first_byte_timeout)
        return self._streamed(protocol, request, MediaAhead(early) if early else None)

    async def _streamed(
        self, protocol: Protocol, request: ChatRequest, ahead: MediaAhead | None
    ) -> AsyncGenerator[list[GatewayEvent]]:
        adapter = questions.adapter(protocol, request, max_media_bytes=self._max_media)
        framing = Framing(max_line_bytes=self._max_line, max_body_bytes=2 * self._max_line)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._total_timeout
        first_byte = min(loop.time() + self._first_byte_timeout, deadline)
        response: aiohttp.ClientResponse | None = None
        line = self._lines.line()
        try:
            body = questions.body(protocol, request)
            response = await self._transport.post(questions.PATHS[protocol], body, until=first_byte)
            if response.status != 200:
                yield adapter.fail(await self._transport.refusal(response, deadline))
                return
            media_type = raw_media_type(response.content_type)
            if media_type is not None:
                yield await self._raw(response, media_type, request, deadline)
                return
            patience = first_byte
            while not adapter.ended:
                async with asyncio.timeout_at(deadline):
                    if await line.room():  # the gateway has waited for us, so its silence begins now
                        patience = min(loop.time() + self._idle_timeout, deadline)
                # What is there, never lines: aiohttp's fail above 512 KiB.
                async with asyncio.timeout_at(patience):
                    data = await response.content.readany()
                if self._on_bytes is not None:
                    self._on_bytes(len(data))
                batches = _small_together(framing.feed(data) if data else framing.end())
                line.holds(line.held + len(data))
                while batches:
                    events = await _decode(adapter, batches.pop(0))
                    if events:
                        yield events
                    del events
                if not data:
                    events = adapter.end()
                    if events:
                        yield events
                    return
                arriving = framing.lift()
                line.holds(framing.held)
                if arriving is not None and ahead is not None:
                    await ahead.take(arriving)
                patience = min(loop.time() + self._idle_timeout, deadline)
        except FAILURES as error:
            yield adapter.fail(self._transport.failure(error, deadline))
        finally:
            line.holds(0)
            if response is not None:
                response.close()  # does nothing where the body was read to its end

    async def _raw(
        self, response: aiohttp.ClientResponse, media_type: MediaType, request: ChatRequest, deadline: float
    ) -> list[GatewayEvent]:
        async with asyncio.timeout_at(deadline):
            data = await read_capped(response, self._max_media + 1)
        return await asyncio.to_thread(
            read_raw,
            data,
            response.content_type,
            media_type,
            audio_format=request.audio.format if request.audio else None,
            max_bytes=self._max_media,
        )


def _small_together(frames: list[Frame]) -> list[list[Frame]]:
    """Each large frame by itself, so that its bytes are handed on before the next are decoded."""
    batches: list[list[Frame]] = []
    for frame in frames:
        if not batches or _is_large(frame) or _is_large(batches[-1][0]):
            batches.append([])
        batches[-1].append(frame)
    return batches


def _is_large(frame: Frame) -> bool:
    return len(frame.data) >= OFF_LOOP_BYTES or frame.lifted is not None


async def _decode(adapter: Adapter, frames: list[Frame]) -> list[GatewayEvent]:
    if len(frames) == 1 and _is_large(frames[0]):
        return await asyncio.to_thread(adapter.feed, frames[0])
    return [event for frame in frames for event in adapter.feed(frame)]
