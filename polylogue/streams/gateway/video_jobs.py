"""Orders a film and polls the job until it has ended; a job that exists is only polled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from polylogue.streams.gateway import large_json
from polylogue.streams.gateway.errors import GARBAGE, retry_after_s
from polylogue.streams.gateway.events import (
    BadMedia,
    Finished,
    GatewayEvent,
    JobStarted,
    MediaRemote,
    UpstreamError,
)
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.transport import FAILURES, Reply, Transport, refusal_of
from polylogue.streams.gateway.video_job import JobView, read_job

JOB_BYTES = MIB  # an answer about a job is some hundred bytes
POLL_WITHIN_S = 30.0  # one poll; the next one asks again
MOST_ABSENT = 3  # a job may not be known everywhere in its first seconds
_TOO_SLOW = UpstreamError("timeout", "The film was not finished in time.", retryable=True)


class VideoJobs:
    def __init__(self, transport: Transport, *, poll_interval_s: float, deadline_s: float) -> None:
        self._transport = transport
        self._poll_interval = poll_interval_s
        self._deadline = deadline_s

    async def order(self, body: Mapping[str, Any], *, accept_s: float) -> AsyncGenerator[list[GatewayEvent]]:
        """Ends like any answer. `JobStarted` comes as soon as the job exists."""
        loop = asyncio.get_running_loop()
        until = loop.time() + accept_s
        try:
            response = await self._transport.post("videos", body, until=until)
            async with response:
                if response.status not in (200, 201, 202):
                    yield [await self._transport.refusal(response, until)]
                    return
                async with asyncio.timeout_at(until):
                    document = large_json.loads(await response.read())
        except FAILURES as error:
            yield [self._transport.failure(error, until)]
            return
        except ValueError:
            yield [GARBAGE]
            return
        view = read_job(document, http_status=response.status)
        job_id = view.job_id or view.polling_url
        if job_id is None:
            yield [view.error or GARBAGE]
            return
        polling_url = self._transport.resolve(view.polling_url or "") if view.polling_url else None
        job = JobStarted("video", job_id, polling_url or self._address(job_id))
        yield [job]
        async with aclosing(self.follow(job, view)) as followed:
            async for events in followed:
                yield events

    async def follow(
        self, job: JobStarted, view: JobView | None = None
    ) -> AsyncGenerator[list[GatewayEvent]]:
        """Polls until the job has ended or the deadline is over. `view` is what is known already."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._deadline
        wait = 0.0 if view is None else self._poll_interval
        absent = 0
        while view is None or view.state == "pending":
            if loop.time() + wait >= deadline:
                yield _failed(_TOO_SLOW)
                return
            await asyncio.sleep(wait)
            try:
                within = min(loop.time() + POLL_WITHIN_S, deadline)
                reply = await self._transport.get(job.polling_url, until=within, limit=JOB_BYTES)
            except ValueError:  # an address that must not be opened
                yield _failed(
                    UpstreamError("protocol", "The polling address cannot be used.", retryable=False)
                )
                return
            except FAILURES:
                wait = self._poll_interval  # the job goes on whether it is seen or not
                continue
            wait = _asked_wait(reply) or self._poll_interval
            absent += reply.status == 404
            if reply.status in (200, 201, 202):
                view = _view(reply)
            elif not _is_passing(reply.status) and (reply.status != 404 or absent > MOST_ABSENT):
                yield _failed(refusal_of(reply))
                return
        usage: list[GatewayEvent] = [] if view.usage is None else [view.usage]
        if view.state == "failed":
            error = view.error or GARBAGE
            yield [*_failed(error)[:1], *usage, error]
        else:
            yield [*self._films(job, view), *usage, Finished("stop")]

    def _films(self, job: JobStarted, view: JobView) -> list[GatewayEvent]:
        films: list[GatewayEvent] = []
        for film in view.films:
            url = self._transport.resolve(film.url)
            if url is None:
                films.append(
                    BadMedia("video", "video_failed", "The film's address is none that can be opened.")
                )
                continue
            needs_key = not film.signed and self._transport.is_own(url)
            films.append(MediaRemote("video", url, film.content_type, needs_key, view.expires_at_s))
        return films or [MediaRemote("video", f"{self._address(job.job_id)}/content", None, needs_key=True)]

    def _address(self, job_id: str) -> str:
        address = self._transport.resolve(f"videos/{quote(job_id, safe='')}")
        assert address is not None  # quoted, it is always one
        return address


def _view(reply: Reply) -> JobView | None:
    try:
        return read_job(large_json.loads(reply.body), http_status=reply.status)
    except ValueError:
        return None  # some proxy's page: asked again


def _failed(error: UpstreamError) -> list[GatewayEvent]:
    return [BadMedia("video", "video_failed", error.message), error]


def _is_passing(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500


def _asked_wait(reply: Reply) -> float | None:
    named = reply.headers.get("Retry-After")
    return None if named is None else retry_after_s({"retry-after": named}, None)
