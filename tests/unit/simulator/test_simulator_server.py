"""Keys, refusals, stops and counts of the simulated gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from polylogue.simulator.app import serve
from tests.unit.simulator.gateway import URL, Gateway, Start


def assert_error(reply: Any, status: int) -> str:
    assert reply.status == status
    assert reply.headers["Content-Type"].startswith("application/json")
    assert reply.json["error"]["code"] == status
    message = reply.json["error"]["message"]
    assert isinstance(message, str)
    assert message
    return message


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer anything"}, {"Authorization": "Basic eDp5"}]
)
async def test_without_a_key_anybody_may_ask(gateway: Gateway, headers: dict[str, str]) -> None:
    assert (await gateway.ask("sim/text:pace=0", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"}, {"Authorization": "Basic right"}],
)
async def test_with_a_key_others_are_refused(start: Start, headers: dict[str, str]) -> None:
    gateway = await start(key="right")
    assert_error(await gateway.ask("sim/text:pace=0", headers=headers), 401)
    assert (await gateway.get("/sim/stats"))["started"] == 0


async def test_with_a_key_its_holder_may_ask_and_anybody_may_list(start: Start) -> None:
    gateway = await start(key="right")
    reply = await gateway.ask("sim/text:pace=0", headers={"Authorization": "Bearer right"})
    assert reply.status == 200
    assert (await gateway.get("/api/v1/models"))["data"]


async def test_refused_and_busy_answer_with_their_status(gateway: Gateway) -> None:
    assert_error(await gateway.ask("sim/refused"), 401)
    reply = await gateway.ask("sim/busy")
    assert_error(reply, 429)
    assert reply.headers["Retry-After"] == "1"
    assert reply.json["error"]["metadata"]["headers"]["X-RateLimit-Remaining"] == "0"
    stats = await gateway.get("/sim/stats")
    assert (stats["refused"], stats["started"]) == (2, 0)


MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"\xff", "JSON"),
        ([], "object"),
        ({"messages": MESSAGES}, "model"),
        ({"model": "sim/unknown", "messages": MESSAGES}, "sim/unknown is not a valid model ID"),
        ({"model": "sim/text:colour=red", "messages": MESSAGES}, "colour=red"),
        ({"model": "sim/text"}, "messages"),
        ({"model": "sim/text", "messages": []}, "messages"),
        ({"model": "sim/text", "messages": ["Hello"]}, "messages"),
        ({"model": "sim/text", "messages": [{"role": "user", "content": 5}]}, "content"),
        ({"model": "sim/text", "messages": [{"role": "system", "content": "x"}]}, "user"),
        ({"model": "sim/text", "messages": MESSAGES, "modalities": "text"}, "modalities"),
        ({"model": "sim/text", "messages": MESSAGES, "max_tokens": -1}, "max_tokens"),
        ({"model": "sim/text", "messages": MESSAGES, "seed": "x"}, "seed"),
        ({"model": "sim/speaker", "messages": MESSAGES, "audio": {"format": "aiff"}}, "pcm16"),
        ({"model": "sim/painter", "messages": MESSAGES, "image_config": {"image_size": "8K"}}, "4K"),
        ({"model": "sim/painter", "messages": MESSAGES, "image_config": {"aspect_ratio": "1:9"}}, "16:9"),
    ],
)
async def test_a_bad_request_is_refused_with_a_sentence(gateway: Gateway, body: Any, word: str) -> None:
    assert word in assert_error(await gateway.post(body), 400)


async def test_a_bad_header_is_refused_with_a_sentence(gateway: Gateway) -> None:
    assert "speed=1" in assert_error(await gateway.ask("sim/text", headers={"X-Sim": "speed=1"}), 400)


@pytest.mark.parametrize(
    ("model", "read_first"),
    [
        ("sim/text:pace=60s", 1),
        ("sim/text:delay=60s", 1),
        ("sim/painter:size=40mb:tokens=0:pace=0", 1_000_000),
        ("sim/speaker:size=40mb:tokens=5:pace=0", 1_000_000),
        ("sim/gallery:images=32:pace=60s", 1),
    ],
)
async def test_a_closed_connection_stops_the_answer_and_is_counted(
    gateway: Gateway, model: str, read_first: int, caplog: pytest.LogCaptureFixture
) -> None:
    response = await gateway.client.post(URL, json=gateway.body(model))
    assert len(await response.content.readexactly(read_first)) == read_first
    assert (await gateway.get("/sim/stats"))["running"] == 1
    response.close()
    stats = await gateway.stats_when(lambda stats: stats["running"] == 0)
    assert (stats["started"], stats["aborted"], stats["finished"]) == (1, 1, 0)
    (generation,) = (await gateway.get("/sim/generations"))["data"]
    assert generation["state"] == "aborted"
    assert generation["media"] == []
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_only_media_sent_whole_are_listed(gateway: Gateway) -> None:
    response = await gateway.client.post(URL, json=gateway.body("sim/painter:images=2:pace=500ms:tokens=0"))
    received = b""
    while received.count(b"data:image/png;base64,") < 1 or not received.endswith(b"\n\n"):
        received += await response.content.readany()
    response.close()
    await gateway.stats_when(lambda stats: stats["aborted"] == 1)
    (generation,) = (await gateway.get("/sim/generations"))["data"]
    assert len(generation["media"]) == 1
    assert generation["pieces"] == 1


async def test_leaving_before_a_whole_answer_is_counted_too(gateway: Gateway) -> None:
    asking = asyncio.create_task(gateway.ask("sim/text:delay=60s", stream=False))
    await gateway.stats_when(lambda stats: stats["running"] == 1)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    stats = await gateway.stats_when(lambda stats: stats["running"] == 0)
    assert stats["aborted"] == 1


async def test_streams_run_side_by_side(gateway: Gateway) -> None:
    slow = asyncio.create_task(gateway.ask("sim/text:delay=60s"))
    await gateway.stats_when(lambda stats: stats["running"] == 1)
    replies = await asyncio.gather(
        *(gateway.ask("sim/mixed:pace=0", f"{number} stars") for number in range(2, 8))
    )
    assert all(reply.finish_reasons == ["stop"] for reply in replies)
    assert not slow.done()
    slow.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await slow


async def test_only_the_last_200_generations_are_remembered(gateway: Gateway) -> None:
    for number in range(201):
        await gateway.ask("sim/text:tokens=0:pace=0", str(number), stream=False)
    assert len((await gateway.get("/sim/generations"))["data"]) == 200
    assert (await gateway.get("/sim/stats"))["finished"] == 201


async def test_serve_ends_when_cancelled_and_frees_its_port() -> None:
    unused_tcp_port = unused_port()
    serving = asyncio.create_task(serve("127.0.0.1", unused_tcp_port, stop_on_signals=False))
    url = f"http://127.0.0.1:{unused_tcp_port}/api/v1/models"
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as response:
                    assert response.status == 200
                    break
            await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_the_program_serves_with_its_key_and_ends_at_sigterm_in_mid_stream() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "polylogue.simulator",
        "--port",
        "0",
        env={**os.environ, "SIMULATOR_KEY": "right"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            assert program.stderr is not None
            ready = json.loads(await program.stderr.readline())
            assert ready["event"] == "simulator_ready"
            assert ready["key_required"] is True
            url = f"{ready['url']}/chat/completions"
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json=Gateway.body("sim/text")) as response:
                    assert response.status == 401
                bearer = {"Authorization": "Bearer right"}
                async with session.post(
                    url, json=Gateway.body("sim/text:pace=60s"), headers=bearer
                ) as response:
                    assert response.status == 200
                    assert await response.content.readany()
                    program.send_signal(signal.SIGTERM)
                    out, err = await program.communicate()
        assert (program.returncode, out, err) == (0, b"", b"")
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
