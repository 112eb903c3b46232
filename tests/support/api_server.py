"""The API over real HTTP inside the test's own loop, as many copies as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from pydantic import AnyHttpUrl

from polylogue.api.server import serve
from polylogue.cli.projections.operator import Operator
from polylogue.infra.settings import Settings

READY_S = 60.0
ASK_EVERY_S = 0.05
POST = "/api/compare-stream"
LIST = "/api/conversations"
NOBODY = "http://127.0.0.1:9/api/v1"


def code(response: httpx.Response) -> tuple[int, str]:
    """Of a refusal."""
    return response.status_code, response.json()["code"]


@asynccontextmanager
async def api_server(
    settings: Settings, *, ready: bool = True, stop: asyncio.Event | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server of its own; with `ready` once a prompt would be accepted."""
    stop = stop or asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    mine = settings.model_copy(update={"port": 0})
    if mine.openrouter_base_url.host == "openrouter.ai":  # no test asks anybody outside
        mine = mine.model_copy(update={"openrouter_base_url": AnyHttpUrl(NOBODY)})
    serving = asyncio.create_task(serve(mine, stop, listening=listening, operator=Operator(mine)))
    try:
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{listening.result()}", limits=limits, trust_env=False
        ) as client:
            if ready:
                async with asyncio.timeout(READY_S):
                    while (await client.get("/readyz", timeout=READY_S)).status_code != 200:
                        await asyncio.sleep(ASK_EVERY_S)
            yield client
    finally:
        stop.set()
        await serving
