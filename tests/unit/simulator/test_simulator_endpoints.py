"""Films, the image endpoint and the Responses API of the simulator, seen raw and through the gateway client."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from typing import Any

import av
import pytest
from PIL import Image

from polylogue.streams.gateway.client import Gateway as Client
from polylogue.streams.gateway.events import (
    Finished,
    JobStarted,
    MediaBytes,
    MediaRemote,
    TextDelta,
    UsageReported,
)
from polylogue.streams.gateway.request import ChatRequest, Message
from tests.unit.simulator.gateway import Gateway, Start


def url_of(gateway: Gateway, path: str = "") -> str:
    base = gateway.client._base_url
    assert base is not None
    return f"{str(base).rstrip('/')}{path}"


async def through_client(gateway: Gateway, model: str, *, key: str | None = None) -> list[Any]:
    async with Client(base_url=url_of(gateway, "/api/v1"), api_key=key, video_poll_interval_s=0.01) as client:
        await client.models()
        request = ChatRequest(model=model, messages=(Message("user", "Draw a red circle"),))
        async with contextlib.aclosing(client.stream(request)) as stream:
            return [event async for batch in stream for event in batch]


async def posted(gateway: Gateway, path: str, **body: Any) -> tuple[int, bytes]:
    async with gateway.client.post(f"/api/v1/{path}", json=body) as response:
        return response.status, await response.read()


def events_of(stream: bytes) -> list[dict[str, Any]]:
    blocks = [block.split(b"\n") for block in stream.split(b"\n\n") if block]
    events = [json.loads(lines[1].removeprefix(b"data: ")) for lines in blocks]
    assert [lines[0].removeprefix(b"event: ").decode() for lines in blocks] == [e["type"] for e in events]
    return events


async def test_the_list_says_where_each_model_is_asked(gateway: Gateway):
    entries = {entry["id"]: entry for entry in (await gateway.get("/api/v1/models"))["data"]}
    assert entries["sim/text"]["supported_endpoints"] == ["/v1/chat/completions"]
    assert entries["sim/director"]["supported_endpoints"] == ["/v1/videos"]
    assert entries["sim/sketcher"]["supported_endpoints"] == ["/v1/images/generations"]
    assert entries["sim/illustrator"]["supported_endpoints"] == ["/v1/responses"]


async def test_a_film_is_ordered_polled_and_fetched(start: Start):
    gateway = await start(key="right")
    job, remote, usage, end = await through_client(gateway, "sim/director", key="right")
    assert job == JobStarted("video", "job-1", url_of(gateway, "/api/v1/videos/job-1"))
    assert isinstance(remote, MediaRemote)
    assert remote.needs_key
    assert isinstance(usage, UsageReported)
    assert usage.cost_usd_micros == 40_000
    assert end == Finished("stop")
    async with gateway.client.get(remote.url) as response:
        assert response.status == 401
    async with gateway.client.get(remote.url, headers={"Authorization": "Bearer right"}) as response:
        film = await response.read()
        assert response.headers["Content-Type"] == "video/mp4"
    with av.open(io.BytesIO(film)) as opened:
        assert opened.streams.video[0].frames > 0
        assert len(opened.streams.audio) == 1
    stats = await gateway.get("/sim/stats")
    assert (stats["jobs_ordered"], stats["job_polls"]) == (1, 3)
    (listed,) = (await gateway.get("/sim/jobs"))["data"]
    assert listed["sha256"] == hashlib.sha256(film).hexdigest()


async def test_the_same_film_is_the_same_bytes(gateway: Gateway):
    for _ in range(2):
        assert (await posted(gateway, "videos", model="sim/director", prompt="Two stars"))[0] == 202
    first, second = (await gateway.get("/sim/jobs"))["data"]
    assert first["sha256"] == second["sha256"]


async def test_a_delay_says_how_long_the_film_takes(gateway: Gateway):
    await posted(gateway, "videos", model="sim/director:delay=60s", prompt="x")
    for _ in range(5):
        assert (await gateway.get("/api/v1/videos/job-1"))["status"] == "in_progress"
    async with gateway.client.get("/api/v1/videos/job-1/content") as response:
        assert response.status == 404


async def test_an_unknown_job_is_not_found(gateway: Gateway):
    async with gateway.client.get("/api/v1/videos/job-7") as response:
        assert response.status == 404


@pytest.mark.parametrize("model", ["sim/sketcher", "sim/illustrator"])
async def test_a_drawing_comes_once_through_the_client(gateway: Gateway, model: str):
    events = await through_client(gateway, f"{model}:pace=0")
    pictures = [event for event in events if isinstance(event, MediaBytes)]
    assert len(pictures) == 1
    assert pictures[0].declared_content_type == "image/png"
    image = Image.open(io.BytesIO(pictures[0].data)).convert("RGB")
    assert image.size == (1024, 1024)
    assert image.getpixel((512, 512)) == (220, 38, 38)
    assert isinstance(events[-2], UsageReported)
    assert events[-2].usage.image_tokens == 1290
    assert events[-1] == Finished("stop")
    assert any(isinstance(event, TextDelta) for event in events) == (model == "sim/illustrator")
    (generation,) = (await gateway.get("/sim/generations"))["data"]
    assert [medium["sha256"] for medium in generation["media"]] == [pictures[0].sha256]
    assert (await gateway.get("/sim/stats"))["finished"] == 1


async def test_previews_come_before_the_picture(gateway: Gateway):
    _, body = await posted(
        gateway, "images/generations", model="sim/sketcher:pace=0", prompt="x", stream=True
    )
    assert [event["type"].partition(".")[2] for event in events_of(body)] == ["partial_image"] * 2 + [
        "completed"
    ]
    _, body = await posted(gateway, "responses", model="sim/illustrator:pace=0", input="x", stream=True)
    kinds = [event["type"] for event in events_of(body)]
    assert kinds.count("response.image_generation_call.partial_image") == 2
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_without_stream_the_answer_is_one_document(gateway: Gateway):
    _, body = await posted(gateway, "images/generations", model="sim/sketcher:images=2", prompt="x")
    assert len(json.loads(body)["data"]) == 2
    _, body = await posted(gateway, "responses", model="sim/illustrator", input="x")
    assert [item["type"] for item in json.loads(body)["output"]] == ["message", "image_generation_call"]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("responses", {"model": "sim/text", "input": "x"}, "chat/completions"),
        (
            "chat/completions",
            {"model": "sim/director", "messages": [{"role": "user", "content": "x"}]},
            "videos",
        ),
        ("videos", {"model": "sim/director"}, "messages"),
        ("images/generations", {"model": "sim/sketcher", "prompt": 5}, "messages"),
        ("chat/completions", {"model": "sim/case", "messages": [{"role": "user", "content": "x"}]}, "case="),
        ("responses", {"model": "sim/case-responses:case=framing-bom", "input": "x"}, "case=row-08"),
        ("videos", {"model": "sim/case-videos:case=nonsense", "prompt": "x"}, "docs/simulator.md"),
    ],
)
async def test_a_bad_question_is_refused_with_a_sentence(gateway: Gateway, path: str, body: Any, word: str):
    status, answer = await posted(gateway, path, **body)
    assert status == 400
    assert word in json.loads(answer)["error"]["message"]


@pytest.mark.parametrize("path", ["responses", "images/generations", "videos", "audio/speech"])
async def test_with_a_key_others_are_refused(start: Start, path: str):
    assert (await posted(await start(key="right"), path, model="sim/director", prompt="x"))[0] == 401


async def test_leaving_a_drawing_is_counted(gateway: Gateway):
    body = {"model": "sim/illustrator:pace=60s", "input": "x", "stream": True}
    response = await gateway.client.post("/api/v1/responses", json=body)
    assert await response.content.readany()
    response.close()
    stats = await gateway.stats_when(lambda stats: stats["aborted"] == 1)
    assert stats["running"] == 0
