"""The packages `ai`, `@ai-sdk/react` and `openai` in Node against the live API, the real processes and a simulated gateway."""

from __future__ import annotations

import base64
import io
from contextlib import ExitStack

import pytest
from PIL import Image
from pydantic import AnyHttpUrl

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.packages import run_node_tests
from tests.support.processes import process, simulator

pytestmark = [pytest.mark.stack]


def picture() -> str:
    output = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(output, "PNG")
    return "data:image/png;base64," + base64.b64encode(output.getvalue()).decode()


async def test_the_packages_of_npm_work(prepared: Settings) -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(simulator())
        mine = prepared.model_copy(update={"openrouter_base_url": AnyHttpUrl(gateway.base_url)})
        for name in ("runner", "media-agent", "projector"):
            stack.enter_context(process(name, mine))
        async with api_server(mine) as http:
            url = str(http.base_url).rstrip("/")
            files = ("ai_sdk.test.js", "openai.test.js")
            await run_node_tests(*files, POLYLOGUE_URL=url, POLYLOGUE_PICTURE=picture())
