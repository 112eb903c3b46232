"""Refusals that pass are retried while nothing of the answer has come, as long as is allowed, and never later."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Any

import pytest
from aiohttp import web

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.events import GatewayEvent, JobStarted, TextDelta, UpstreamError, UsageReported
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.retries import FIRST_WAIT_S, LONGEST_WAIT_S, Retries
from tests.unit.gateway.corpus import DONE, STOP, chunk, sse
from tests.unit.gateway.serving import asked, serving

BUSY = UpstreamError("rate_limited", "Slow down.", retryable=True)
DOWN = UpstreamError("upstream", "Down.", retryable=True)


def patient(protocol: Protocol = "chat", until: float = 100.0) -> Retries:
    return Retries(protocol, until=until)


def after(seconds: float) -> UpstreamError:
    return UpstreamError("rate_limited", "Slow down.", retryable=True, retry_after_s=seconds)


def test_the_wait_is_the_one_asked_for():
    assert patient().wait_s([after(7.0)], 0.0) == 7.0


def test_without_one_the_waits_grow_up_to_a_bound():
    retries = patient()
    waits = [retries.wait_s([DOWN], 0.0) or 0.0 for _ in range(10)]
    assert FIRST_WAIT_S / 2 <= waits[0] <= FIRST_WAIT_S
    assert all(LONGEST_WAIT_S / 2 <= wait <= LONGEST_WAIT_S for wait in waits[5:])


def test_a_wait_beyond_the_deadline_is_not_begun():
    assert patient(until=10.0).wait_s([after(7.0)], 4.0) is None


@pytest.mark.parametrize(
    "events",
    [
        [],
        [TextDelta("A")],
        [TextDelta("A"), DOWN],
        [UsageReported(Usage(prompt_tokens=1)), DOWN],
        [UpstreamError("auth", "No.", retryable=False)],
        [UpstreamError("connection", "Gone.", retryable=True)],
        [UpstreamError("truncated", "Gone.", retryable=True)],
        [UpstreamError("rate_limited", "Never.", retryable=False)],
    ],
)
def test_everything_else_is_believed(events: list[GatewayEvent]):
    assert patient().wait_s(events, 0.0) is None


def test_an_order_that_may_have_been_taken_is_not_repeated():
    assert patient("videos").wait_s([DOWN], 0.0) is None
    assert patient("videos").wait_s([BUSY], 0.0) is not None


def refused(
    status: int, headers: dict[str, str] | None = None, *, inner: dict[str, str] | None = None
) -> web.Response:
    error = {"code": status, "message": "Not now.", "metadata": {"headers": inner or {}}}
    return web.json_response({"error": error}, status=status, headers=headers)


def http_date() -> str:
    return email.utils.formatdate(time.time() + 1.0, usegmt=True)


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: refused(429, {"Retry-After": "0.05"}),
        lambda: refused(503, {"Retry-After": http_date()}),
        lambda: refused(429, {"Retry-After-Ms": "50"}),
        lambda: refused(429, inner={"Retry-After": "0.05"}),
        lambda: refused(500),
        lambda: refused(502),
        lambda: web.Response(
            body=sse({"choices": [], "error": {"code": 502, "message": "Not now."}}),
            content_type="text/event-stream",
        ),
    ],
    ids=["seconds", "date", "milliseconds", "body", "500", "502", "in the stream"],
)
async def test_a_refusal_that_passes_is_not_seen(refusal: Any):
    calls, seen = [], []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        if len(calls) == 1:
            return refusal()
        return web.Response(body=chunk({"content": "A"}, "stop") + DONE, content_type="text/event-stream")

    async with serving(handler, retry_for_s=20.0, on_retry=seen.append) as (gateway, _):
        assert await asked(gateway) == [TextDelta("A"), STOP]
    assert len(calls) == 2
    assert [error.message for error in seen] == ["Not now."]


async def test_after_the_first_event_nothing_is_retried():
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        error = sse({"error": {"code": 502, "message": "Gone."}})
        return web.Response(body=chunk({"content": "A"}) + error, content_type="text/event-stream")

    async with serving(handler, retry_for_s=20.0) as (gateway, _):
        events = await asked(gateway)
    assert events == [TextDelta("A"), UpstreamError("upstream", "Gone.", retryable=True)]
    assert len(calls) == 1


@pytest.mark.parametrize(("status", "calls"), [(401, 1), (400, 1), (429, 1)])
async def test_what_will_not_pass_or_not_in_time_is_told_at_once(status: int, calls: int):
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return refused(status, {"Retry-After": "3600"})

    async with asyncio.timeout(10):
        async with serving(handler, retry_for_s=20.0) as (gateway, _):
            (error,) = await asked(gateway)
    assert isinstance(error, UpstreamError)
    assert len(seen) == calls


async def test_without_end_the_last_refusal_is_told_at_the_deadline():
    seen: list[UpstreamError] = []

    async def handler(_: web.Request) -> web.StreamResponse:
        return refused(429, {"Retry-After": "0.5"})

    async with serving(handler, retry_for_s=2.0, on_retry=seen.append) as (gateway, _):
        (error,) = await asked(gateway)
    assert isinstance(error, UpstreamError)
    assert error.failure_class == "rate_limited"
    assert seen


async def test_an_order_is_repeated_after_429_and_made_once():
    orders = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            orders.append(await request.json())
            return refused(429) if len(orders) == 1 else web.json_response({"id": "j"}, status=202)
        return web.json_response({"status": "done", "urls": ["https://media.example/a.mp4"]})

    async with serving(handler, retry_for_s=20.0, video_poll_interval_s=0.01) as (gateway, _):
        first, *_ = await asked(gateway, "videos")
    assert isinstance(first, JobStarted)
    assert len(orders) == 2


async def test_leaving_while_it_waits_asks_no_more():
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return refused(429, {"Retry-After": "60"})

    waiting = asyncio.Event()
    async with serving(handler, retry_for_s=300.0, on_retry=lambda _: waiting.set()) as (gateway, _):
        task = asyncio.create_task(asked(gateway))
        async with asyncio.timeout(10):
            await waiting.wait()
            task.cancel()
            await asyncio.wait([task])
    assert task.cancelled()
    assert len(calls) == 1
