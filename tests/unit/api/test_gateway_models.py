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
