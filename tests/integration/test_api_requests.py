"""What a request may carry and what becomes of it: pictures, long histories, traces, the model list, estimates."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image
from pydantic import AnyHttpUrl

from polylogue.infra.logs import configure_logs
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.commands import CancelTurn, HistoryMessage
from tests.support.api_server import api_server
from tests.support.played import Played
from tests.support.script import Wire
from tests.support.sse_client import frames

BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}
POST = "/api/compare-stream"
SECRET = "52.5200N13.4050E"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


def attached(kind: str = "JPEG", size: tuple[int, int] = (40, 20), **changes: str) -> dict[str, str]:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    output = io.BytesIO()
    Image.new("RGB", size, "teal").save(output, kind, exif=exif.tobytes())
    data = base64.b64encode(output.getvalue()).decode()
    return {"mime_type": f"image/{kind.lower()}", "base64_data": data} | changes


def objects(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every object of the bucket by its key."""
    client = create_s3_client(settings)
    try:
        listed = client.list_objects_v2(Bucket=settings.s3_media_bucket).get("Contents", [])
        return {
            one["Key"]: client.get_object(Bucket=settings.s3_media_bucket, Key=one["Key"]) for one in listed
        }
    finally:
        client.close()


async def test_pictures_are_stripped_and_stored_before_the_command_that_names_them(
    prepared: Settings,
) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        body = BODY | {"attached_images": [attached(), attached("WEBP")]}
        async with frames(client, "POST", POST, json=body) as stream:
            assert stream.response.status_code == 200
            command, _ = await wire.command()
    first, second = command.data.attachments
    assert first.key == f"private/local/{command.turn_id}/1.jpg"
    assert second.key == f"private/local/{command.turn_id}/2.webp"
    stored = objects(prepared)
    assert set(stored) == {first.key, second.key}
    for attachment in (first, second):
        found = stored[attachment.key]
        content = found["Body"].read()
        assert SECRET.encode() not in content
        assert (len(content), found["ContentType"]) == (attachment.size_bytes, attachment.content_type)
        assert found["Metadata"]["sha256"] == attachment.sha256
        assert found["CacheControl"].startswith("private")


async def test_bad_pictures_are_refused_with_a_sentence_and_leave_nothing_behind(prepared: Settings) -> None:
    small = prepared.model_copy(
        update={"attachment_max_count": 2, "attachment_max_mb": 1, "attachment_max_total_mb": 1}
    )
    noise = io.BytesIO()
    Image.effect_noise((900, 900), 90).save(noise, "PNG")
    large = {"mime_type": "image/png", "base64_data": base64.b64encode(noise.getvalue()).decode()}
    huge = {"mime_type": "image/png", "base64_data": base64.b64encode(noise.getvalue() * 2).decode()}
    assert len(noise.getvalue()) < 1024 * 1024 < 2 * len(noise.getvalue())
    cut = base64.b64encode(base64.b64decode(attached("PNG")["base64_data"])[:60]).decode()
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    refused: list[tuple[list[dict[str, str]], int, str]] = [
        ([attached()] * 3, 400, "too_many_attachments"),
        ([attached(base64_data="")], 400, "bad_base64"),
        ([attached(base64_data="not base64!")], 400, "bad_base64"),
        ([attached(base64_data="data:image/png;base64," + cut)], 400, "bad_base64"),
        ([attached(base64_data="é")], 400, "bad_base64"),
        ([huge], 413, "attachment_too_large"),
        ([large, large], 413, "attachments_too_large"),
        ([attached(base64_data=svg)], 422, "attachment_unsupported"),
        ([attached(mime_type="text/html")], 422, "attachment_unsupported"),
        ([attached(), attached(base64_data=cut)], 422, "attachment_undecodable"),
        ([attached("PNG", (7000, 7000))], 422, "attachment_too_many_pixels"),
    ]
    async with api_server(small) as client, Wire(prepared) as wire:
        for images, status, code in refused:
            response = await client.post(POST, json=BODY | {"attached_images": images}, timeout=60)
            told = response.json()
            assert (response.status_code, told["code"]) == (status, code), told
            assert told["detail"].endswith(".")
            assert ("errors" in told) == (status == 422)
        assert await wire.waiting_commands() == 0
    assert objects(prepared) == {}


async def test_without_storage_pictures_are_refused_and_prompts_without_them_are_not(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polylogue.api.attachments.STORE_S", 1.0)
    away = prepared.model_copy(update={"s3_endpoint_url": AnyHttpUrl("http://127.0.0.1:9")})
    async with api_server(away) as client:
        response = await client.post(POST, json=BODY | {"attached_images": [attached()]}, timeout=60)
        assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
        assert "retry-after" in response.headers
        async with frames(client, "POST", POST, json=BODY) as stream:
            assert stream.response.status_code == 200


async def test_a_long_history_goes_to_an_object_and_a_short_one_with_the_command(played: Played) -> None:
    def history(characters: int) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": "x" * characters},
            {"role": "assistant", "content": "y", "model_id": "sim/text"},
        ]

    client, wire = played.one, played.wire

    async def asked(prompt: int, past: int) -> Any:
        body = BODY | {"input_data": "x" * prompt, "conversation_history": history(past)}
        async with frames(client, "POST", POST, json=body) as stream:
            assert stream.response.status_code == 200, stream.response.text
            command, _ = await wire.command()
        return command.data

    short = await asked(10, 500_000)
    assert (len(short.history), short.history_key) == (2, None)
    for prompt, past in ((10, 600_000), (400_000, 450_000)):
        long = await asked(prompt, past)
        assert long.history == ()
        stored = objects(played.settings)[long.history_key]
        read = msgspec.json.decode(stored["Body"].read(), type=tuple[HistoryMessage, ...])
        assert [(one.role, len(one.content), one.model) for one in read] == [
            ("user", past, None),
            ("assistant", 1, "sim/text"),
        ]
        assert long.history_key.startswith("private/history/local/")


@contextmanager
def own_log(prepared: Settings) -> Iterator[None]:
    """JSON lines on standard error, wherever another test has sent the loggers of this process."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    configure_logs(prepared.model_copy(update={"log_level": "info", "log_format": "json"}), process="api")
    try:
        yield
    finally:
        root.handlers[:], _ = kept, root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


async def test_a_trace_goes_from_the_request_into_command_record_log_and_answer(
    prepared: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_log(prepared):
        await _traced(prepared)
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if '"path":"/api' in line.replace('": "', '":"')]
    assert any("nobody" in line and TRACE in line and "404" in line for line in lines)
    assert any("compare-stream" in line and TRACE in line for line in lines)
    assert not any("secret" in line for line in lines)


async def _traced(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(client, "POST", POST, json=BODY, headers={"traceparent": TRACE}) as stream:
            assert stream.response.headers["traceparent"] == TRACE
            script = await wire.script()
            assert script.command.traceparent == TRACE
            assert wire.headers["traceparent"] == TRACE.encode()
            await wire.write(*script.opening())
            conversation_id = stream.response.headers["x-conversation-id"]
        made = await client.post(
            f"/api/conversations/{conversation_id}/cancel", headers={"traceparent": "nonsense"}
        )
        cancel, _ = await wire.command()
        assert isinstance(cancel.data, CancelTurn)
        assert cancel.traceparent == made.headers["traceparent"] != TRACE
        refused = await client.get("/api/conversations/nobody?secret=word", headers={"traceparent": TRACE})
        assert refused.headers["traceparent"] == TRACE


async def test_notes_queues_and_costs_are_frames(played: Played) -> None:
    client, wire = played.one, played.wire
    async with frames(client, "POST", POST, json=BODY | {"models": ["sim/text"] * 2}) as stream:
        script = await wire.script()
        one, two = (slot.response_id for slot in script.start.responses)
        usage = events.Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, image_tokens=4)
        await wire.write(
            *script.opening(),
            script.said(one, events.ResponseQueued(position=3)),
            script.said(one, events.ResponseNoted(code="pictures_left_out", message="It takes none.")),
            script.said(
                one, events.ResponseCompleted(finish_reason="stop", usage=usage, cost_usd_micros=1500)
            ),
            script.said(two, events.ResponseCancelled(reason="cost_limit", cost_usd_micros=7)),
        )
        seen = {(one["type"], one.get("response_id")): one for one in await stream.rest()}
    assert seen["queued", one]["position"] == 3
    assert (seen["note", one]["code"], seen["note", one]["message"]) == (
        "pictures_left_out",
        "It takes none.",
    )
    done = seen["done", one]
    assert done["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "image_tokens": 4}
    assert done["cost_usd"] == 0.0015
    capped = seen["done", two]
    assert (capped["error"], capped["finish_reason"], capped["cost_usd"]) == (False, "cancelled", 7e-6)
    assert "cap" in capped["message"]


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, TestServer]]:
    """An API whose gateway offers two models and can be taken away."""
    prices = {"prompt": "0.000001", "completion": "0.000002"}
    listed = {"data": [{"id": "sim/text", "pricing": prices}, {"id": "sim/free"}]}

    async def models(_: web.Request) -> web.Response:
        return web.json_response(listed)

    app = web.Application()
    app.router.add_get("/api/v1/models", models)
    async with TestServer(app) as server:
        url = AnyHttpUrl(str(server.make_url("/api/v1")))
        async with api_server(settings.model_copy(update={"openrouter_base_url": url})) as client:
            yield client, server


async def test_the_model_list_and_estimates_go_on_while_the_gateway_is_away(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polylogue.api.gateway_models.KEPT_S", 0.0)
    async with gateway(prepared) as (client, server):
        fresh = (await client.get("/api/v1/models")).json()
        assert [one["id"] for one in fresh["models"]] == ["sim/text", "sim/free"]
        assert fresh["models"][0]["prices"] == {"prompt": 1_000_000, "completion": 2_000_000}
        assert not fresh["stale"]
        await server.close()
        away = (await client.get("/api/models")).json()
        assert away == fresh | {"stale": True}
        body = BODY | {"models": ["sim/text:free", "sim/free"], "max_tokens": 10, "max_cost_usd": 0.00001}
        told = (await client.post("/api/estimate", json=body)).json()
        assert told["models"] == [
            {"model": "sim/text:free", "prompt_tokens": 2, "completion_tokens": 10, "cost_usd_micros": 22},
            {"model": "sim/free", "prompt_tokens": 2, "completion_tokens": 10, "cost_usd_micros": None},
        ]
        assert told["total"] == {"prompt_tokens": 4, "completion_tokens": 20, "cost_usd_micros": 22}
        assert (told["max_cost_usd_micros"], told["within_cap"], told["stale"]) == (10, False, True)
        unknown = await client.post("/api/estimate", json=BODY | {"models": ["sim/nobody"]})
        assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_model")
        foreign = await client.post("/api/estimate", json=BODY | {"conversation_id": "nobody"})
        assert foreign.status_code == 404


async def test_a_gateway_that_never_answered_has_an_empty_list_and_refuses_nobody(played: Played) -> None:
    client = played.one
    assert (await client.get("/api/models")).json() == {"models": [], "stale": True, "fetched_at": None}
    told = (await client.post("/api/estimate", json=BODY)).json()
    assert told["total"]["cost_usd_micros"] is None
