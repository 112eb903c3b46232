"""A simulator on a free port for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from polylogue.simulator.app import create_app
from tests.unit.simulator.gateway import Gateway, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    clients: list[TestClient[Any, Any]] = []

    async def starter(*, key: str | None = None) -> Gateway:
        client = TestClient(TestServer(create_app(key=key)))
        clients.append(client)
        await client.start_server()
        return Gateway(client)

    yield starter
    for client in clients:
        await client.close()


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()
