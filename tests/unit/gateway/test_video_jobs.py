"""Films are ordered once and polled until a deadline; the key goes to the gateway's own origin only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import (
    BadMedia,
    Finished,
    GatewayEvent,
    JobStarted,
    MediaRemote,
    UpstreamError,
)
from tests.unit.gateway.serving import asked, serving

FILM = "https://media.example/a.mp4"
DONE = {"status": "done", "urls": [FILM]}
QUICK = {"video_poll_interval_s": 0.01}


class Provider:
    """Answers an order with `order`, and polls with `polls` in turn; the last repeats."""

    def __init__(self, *polls: Any, order: Any = None) -> None:
        self.order = {"id": "j/1"} if order is None else order
        self.polls = list(polls)
        self.seen: list[tuple[str, str, str | None]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.raw_path, request.headers.get("Authorization")))
        if request.method == "POST":
            return self._answer(self.order, 202)
        return self._answer(self.polls.pop(0) if len(self.polls) > 1 else self.polls[0], 200)

    def _answer(self, answer: Any, status: int) -> web.StreamResponse:
        if isinstance(answer, int):
            return web.json_response({"error": {"message": "No."}}, status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer, status=status)


async def test_the_job_is_told_of_before_the_first_poll():
    provider = Provider(DONE)
    async with serving(provider.handle, **QUICK) as (gateway, origin):
        events = await asked(gateway, "videos")
    assert events == [
        JobStarted("video", "j/1", f"{origin}/v1/videos/j%2F1"),
        MediaRemote("video", FILM),
        Finished("stop"),
    ]
    assert [seen[:2] for seen in provider.seen] == [("POST", "/v1/videos"), ("GET", "/v1/videos/j%2F1")]
    assert {seen[2] for seen in provider.seen} == {"Bearer sk-secret"}


async def resumed(gateway: Gateway, polling_url: str) -> list[GatewayEvent]:
    job = gateway.resume_job(media_type="video", job_id="j", polling_url=polling_url)
    async with contextlib.aclosing(job) as batches:
        return [event async for batch in batches for event in batch]


async def test_a_job_is_resumed_without_a_new_order():
    provider = Provider({"status": "in_progress"}, DONE)
    async with serving(provider.handle, **QUICK) as (gateway, origin):
        events = await resumed(gateway, f"{origin}/jobs/j")
    assert events == [MediaRemote("video", FILM), Finished("stop")]
    assert [seen[0] for seen in provider.seen] == ["GET", "GET"]


@pytest.mark.parametrize("hiccup", [503, 429, 404, b"<html>", {"status": "tempering"}, 500])
async def test_a_hiccup_of_a_poll_does_not_end_the_job(hiccup: Any):
    async with serving(Provider(hiccup, DONE).handle, **QUICK) as (gateway, origin):
        assert await resumed(gateway, f"{origin}/j") == [MediaRemote("video", FILM), Finished("stop")]


async def test_a_dropped_poll_does_not_end_the_job():
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(1)
        if len(calls) == 1:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(DONE)

    async with serving(handler, **QUICK) as (gateway, origin):
        assert (await resumed(gateway, f"{origin}/j"))[-1] == Finished("stop")


@pytest.mark.parametrize(
    ("status", "failure_class"), [(404, "invalid_request"), (401, "auth"), (410, "invalid_request")]
)
async def test_a_job_that_is_gone_ends_as_failed(status: int, failure_class: str):
    async with asyncio.timeout(10):
        async with serving(Provider(status).handle, **QUICK) as (gateway, origin):
            bad, error = await resumed(gateway, f"{origin}/j")
    assert isinstance(bad, BadMedia)
    assert bad.reason == "video_failed"
    assert isinstance(error, UpstreamError)
    assert error.failure_class == failure_class


async def test_the_deadline_ends_a_job_that_never_does():
    async with asyncio.timeout(10):
        async with serving(Provider({"status": "x"}).handle, video_deadline_s=0.2, **QUICK) as (
            gateway,
            origin,
        ):
            bad, error = await resumed(gateway, f"{origin}/j")
    assert isinstance(bad, BadMedia)
    assert isinstance(error, UpstreamError)
    assert error.failure_class == "timeout"


@pytest.mark.parametrize(
    ("order", "failure_class"), [(500, "upstream"), (401, "auth"), ({}, "protocol"), (b"{", "protocol")]
)
async def test_an_order_that_makes_no_job_is_a_failure(order: Any, failure_class: str):
    async with serving(Provider(DONE, order=order).handle, **QUICK) as (gateway, _):
        (error,) = await asked(gateway, "videos")
    assert isinstance(error, UpstreamError)
    assert error.failure_class == failure_class


async def test_a_job_that_fails_at_once_is_not_polled_for():
    provider = Provider(
        DONE, order={"id": "j", "status": "failed", "error": {"code": 400, "message": "Not this."}}
    )
    async with serving(provider.handle, **QUICK) as (gateway, _):
        job, bad, error = await asked(gateway, "videos")
    assert isinstance(job, JobStarted)
    assert bad == BadMedia("video", "video_failed", "Not this.")
    assert error == UpstreamError("invalid_request", "Not this.", retryable=False)
    assert len(provider.seen) == 1


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, Provider]]:
    provider = Provider({"status": "done", "unsigned_urls": ["/film"]})
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", provider.handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/"), provider


async def test_another_origin_is_polled_without_the_key(elsewhere: tuple[str, Provider]):
    other, provider = elsewhere
    order = {"id": "j", "polling_url": f"{other}/poll"}
    async with serving(Provider(DONE, order=order).handle, **QUICK) as (gateway, origin):
        events = await asked(gateway, "videos")
    assert provider.seen == [("GET", "/poll", None)]
    assert events[0] == JobStarted("video", "j", f"{other}/poll")
    # Relative addresses are the gateway's own.
    assert events[1] == MediaRemote("video", f"{origin}/film", needs_key=True)


async def test_unsigned_films_elsewhere_need_no_key_of_ours(elsewhere: tuple[str, Provider]):
    other, _ = elsewhere
    done = {"status": "done", "unsigned_urls": [f"{other}/film"]}
    async with serving(Provider(done).handle, **QUICK) as (gateway, origin):
        assert (await resumed(gateway, f"{origin}/j"))[0] == MediaRemote("video", f"{other}/film")


@pytest.mark.parametrize("url", ["ftp://media.example/a", "file:///etc/passwd", "http://[", "javascript:1"])
async def test_an_address_that_is_none_is_refused(url: str):
    async with serving(Provider({"status": "done", "urls": [url]}).handle, **QUICK) as (gateway, origin):
        bad, end = await resumed(gateway, f"{origin}/j")
    assert isinstance(bad, BadMedia)
    assert end == Finished("stop")


async def test_leaving_ends_the_polling():
    provider = Provider({"status": "pending"})
    async with serving(provider.handle, **QUICK) as (gateway, _):
        task = asyncio.create_task(asked(gateway, "videos"))
        async with asyncio.timeout(10):
            while len(provider.seen) < 3:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
