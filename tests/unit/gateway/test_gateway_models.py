"""The gateway's list of models: read, refused, and believed about how each is asked."""

from __future__ import annotations

import contextlib
import json

import pytest
from aiohttp import web

from polylogue.streams.gateway.client import GatewayRefusedError
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import ChatRequest
from tests.unit.gateway.serving import PROMPT, serving

ENTRIES = [
    {
        "id": "a/b",
        "name": "B",
        "context_length": 1000,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["image", "text"]},
        "pricing": {"prompt": "0.000001", "completion": "0.00001"},
        "supported_endpoints": ["/v1/images/generations"],
    },
    {"id": "c"},
    {"name": "nameless"},
]


async def test_models_are_read_with_modalities_prices_and_protocol():
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/v1/models"
        return web.Response(text=json.dumps({"data": ENTRIES}), content_type="application/json")

    async with serving(handler) as (gateway, _):
        first, second = await gateway.models()
    assert first.input_modalities == ("text", "image")
    assert first.output_modalities == ("image", "text")
    assert (first.prompt_price, first.completion_price, first.context_length) == (1_000_000, 10_000_000, 1000)
    assert (first.protocol, second.protocol) == ("images", "chat")
    assert (second.id, second.name, second.output_modalities, second.prompt_price) == (
        "c",
        "c",
        ("text",),
        None,
    )


@pytest.mark.parametrize(
    ("status", "body", "failure_class"),
    [(401, b'{"error": {"message": "no"}}', "auth"), (200, b"<html>", "protocol"), (302, b"", "protocol")],
)
async def test_models_refused_says_why(status: int, body: bytes, failure_class: str):
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    async with serving(handler) as (gateway, _):
        with pytest.raises(GatewayRefusedError) as refused:
            await gateway.models()
    assert refused.value.error.failure_class == failure_class


@pytest.mark.parametrize(
    ("model", "named", "path"),
    [
        ("a/b", None, "/v1/images/generations"),
        ("a/b:free", None, "/v1/images/generations"),
        ("a/b", "chat", "/v1/chat/completions"),
        ("c", None, "/v1/chat/completions"),
        ("unknown", None, "/v1/chat/completions"),
        ("unknown", "responses", "/v1/responses"),
    ],
)
async def test_each_model_is_asked_where_the_list_or_the_request_says(
    model: str, named: Protocol | None, path: str
):
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            asked.append(request.path)
            return web.Response(status=400)
        return web.json_response({"data": ENTRIES})

    async with serving(handler) as (gateway, _):
        await gateway.models()
        request = ChatRequest(model=model, messages=PROMPT, protocol=named)
        async with contextlib.aclosing(gateway.stream(request)) as stream:
            assert [len(batch) async for batch in stream] == [1]
    assert asked == [path]
