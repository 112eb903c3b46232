"""A small real server as gateway, for tests of the client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import GatewayEvent
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import ChatRequest, Message

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROMPT = (Message("user", "hi"),)


@contextlib.asynccontextmanager
async def serving(handler: Handler, **settings: Any) -> AsyncIterator[tuple[Gateway, str]]:
    """A client of the server, and the server's origin."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        origin = str(server.make_url("")).rstrip("/")
        async with Gateway(base_url=f"{origin}/v1", api_key="sk-secret", **settings) as gateway:
            yield gateway, origin


async def asked(gateway: Gateway, protocol: Protocol = "chat") -> list[GatewayEvent]:
    request = ChatRequest(model="m", messages=PROMPT, protocol=protocol)
    async with contextlib.aclosing(gateway.stream(request)) as batches:
        return [event async for batch in batches for event in batch]
