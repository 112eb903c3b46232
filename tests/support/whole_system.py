"""Everything that answers, at work on a test's own topics and tables: runner, agent, projector, and two API servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from pydantic import AnyHttpUrl

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.api_server import POST, api_server
from tests.support.bucket import keys_in_bucket
from tests.support.processes import Simulator, process
from tests.support.sse_client import frames

TEXT = "sim/text:pace=0s"
PAINTER = "sim/painter:pace=0s"
WAIT_S = 60


def led_to(gateway: Simulator, settings: Settings) -> Settings:
    """The same settings, with the simulated gateway."""
    return settings.model_copy(update={"openrouter_base_url": AnyHttpUrl(gateway.base_url)})


@dataclass
class System:
    """Two API servers over one of everything else."""

    settings: Settings
    one: httpx.AsyncClient
    other: httpx.AsyncClient

    async def asked(
        self, url: str = POST, *, headers: dict[str, str] | None = None, **body: Any
    ) -> list[dict[str, Any]]:
        """The frames of a stream to its end, which is `complete`."""
        asking = {"input_data": "Draw"} | body
        async with frames(self.one, "POST", url, json=asking, headers=headers or {}) as stream:
            assert stream.response.status_code == 200, stream.response.text
            seen = await stream.rest()
        assert seen[-1]["type"] == "complete", seen[-1]
        return seen

    async def read(self, conversation_id: str, *, turns: int = 1) -> dict[str, Any]:
        """From the other server, once the tables hold so many turns, the last of them has ended, and every table knows it:
        each is filled by itself."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = (await self.other.get(f"/api/conversations/{conversation_id}")).json()
                ended = not found["turn_running"] and all(turn["finished"] for turn in found["turns"])
                messages = [message for turn in found["turns"] for message in turn["messages"]]
                known = not any(
                    one["status"] in ("waiting", "running") or one["pending_media"] for one in messages
                )
                if ended and known and len(found["turns"]) >= turns:
                    return dict(found)
                await asyncio.sleep(0.05)

    async def gone(self, *parts: str) -> None:
        """Returns once no key in the bucket holds any of these."""
        async with asyncio.timeout(WAIT_S):
            while any(
                part in key
                for key in await asyncio.to_thread(keys_in_bucket, self.settings)
                for part in parts
            ):
                await asyncio.sleep(0.05)

    async def give_away(self, conversation_id: str) -> None:
        """Makes it somebody else's."""
        async with await psycopg.AsyncConnection.connect(connection_string(self.settings)) as database:
            for table in (
                "conversations",
                "conversation_turns",
                "conversation_messages",
                "media_objects",
                "submissions",
            ):
                await database.execute(
                    f"UPDATE {table} SET owner_id = 'somebody' WHERE conversation_id = %s",
                    (conversation_id,),
                )


@asynccontextmanager
async def behind(settings: Settings, *, agent: bool = True) -> AsyncIterator[None]:
    """The processes that work behind the API."""
    with ExitStack() as stack:
        for name in ("runner", "projector", *(["media-agent"] if agent else [])):
            stack.enter_context(process(name, settings))
        yield


@asynccontextmanager
async def running(settings: Settings, gateway: Simulator, *, agent: bool = True) -> AsyncIterator[System]:
    mine = led_to(gateway, settings)
    async with behind(mine, agent=agent), api_server(mine) as one, api_server(mine) as other:
        one.timeout = other.timeout = httpx.Timeout(WAIT_S * 2)
        yield System(mine, one, other)
