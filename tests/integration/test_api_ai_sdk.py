"""The packages `ai`, `@ai-sdk/react` and `openai` in Node against the live API, the real processes and a simulated gateway."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.media_samples import data_url, plain
from tests.support.packages import run_node_tests
from tests.support.processes import Simulator
from tests.support.whole_system import behind, led_to

pytestmark = [pytest.mark.stack]


async def test_the_packages_of_npm_work(prepared: Settings, gateway: Simulator) -> None:
    mine = led_to(gateway, prepared)
    async with behind(mine), api_server(mine) as http:
        url = str(http.base_url).rstrip("/")
        files = ("ai_sdk.test.js", "openai.test.js")
        await run_node_tests(*files, POLYLOGUE_URL=url, POLYLOGUE_PICTURE=data_url(plain()))
