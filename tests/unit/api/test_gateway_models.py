"""Which models are known: what the gateway lists, variants included, and everything while it is away."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestServer

from polylogue.api.gateway_models import KEPT_S, GatewayModels
from polylogue.infra.settings import load_settings


async def test_only_listed_models_and_their_variants_are_known_and_the_list_is_kept() -> None:
    asked = 0

    async def models(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"data": [{"id": "sim/text", "name": "Text"}]})

    app = web.Application()
    app.router.add_get("/api/v1/models", models)
    now = 0.0
    async with TestServer(app) as server:
        settings = load_settings(_env_file=None, openrouter_base_url=str(server.make_url("/api/v1")))
        known = GatewayModels(settings, clock=lambda: now)
        assert await known.unknown(["sim/text", "sim/nobody", "sim/text:pace=1ms"]) == ["sim/nobody"]
        assert await known.unknown(["sim/text"]) == []
        assert asked == 1
        now = KEPT_S + 1
        assert await known.unknown(["sim/text"]) == []
        assert asked == 2
    now = KEPT_S * 3  # the gateway is away, and the last list still counts
    assert await known.unknown(["sim/nobody"]) == ["sim/nobody"]


async def test_while_the_gateway_has_never_answered_nobody_is_refused() -> None:
    settings = load_settings(_env_file=None, openrouter_base_url="http://127.0.0.1:9/api/v1")
    assert await GatewayModels(settings).unknown(["whatever"]) == []


async def test_entries_are_read_as_far_as_they_can_be_and_the_last_list_serves_as_stale() -> None:
    entry = {
        "id": "sim/painter",
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["image"]},
        "pricing": {"prompt": "0.0000005", "completion": 2e-6, "request": "1", "image_output": "none"},
        "context_length": 128000,
        "top_provider": {"max_completion_tokens": 4096},
        "per_request_limits": None,
    }
    answers: list[object] = [{"data": [entry, {"name": "no id"}, "nonsense"]}, {"error": "busy"}]

    async def models(_: web.Request) -> web.Response:
        return web.json_response(answers.pop(0))

    app = web.Application()
    app.router.add_get("/api/v1/models", models)
    now = 0.0
    async with TestServer(app) as server:
        settings = load_settings(_env_file=None, openrouter_base_url=str(server.make_url("/api/v1")))
        catalogue = GatewayModels(settings, clock=lambda: now)
        assert catalogue.stale
        (model,) = await catalogue.listed()
        assert (model.name, model.prices) == ("sim/painter", {"prompt": 500_000, "completion": 2_000_000})
        assert (model.context_length, model.limits) == (128_000, {"max_completion_tokens": 4096})
        assert not catalogue.stale
        now = KEPT_S + 1
        assert await catalogue.listed() == [model], "an answer that is no list changes nothing"
        assert catalogue.stale
