"""A simulator on a free port for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from polylogue.simulator.app import create_runner
from tests.unit.simulator.gateway import Gateway, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def starter(*, key: str | None = None) -> Gateway:
            # Served as the program serves it; aiohttp's own test server treats closed connections differently.
            runner = create_runner(key=key)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return Gateway(await stack.enter_async_context(aiohttp.ClientSession(url)))

        yield starter


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()
