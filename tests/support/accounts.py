"""Users and keys of a test, made as the command line makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import psycopg

from polylogue.api.auth import accounts, tokens
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings

DEAD_WITHIN_S = 5.0  # what is ended is dead on every process

T = TypeVar("T")


def keyed(settings: Settings, **more: object) -> Settings:
    """The same settings, with a sign-in."""
    return settings.model_copy(update={"auth": "keys", **more})


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def with_accounts(settings: Settings, work: Callable[[accounts.Connection], Awaitable[T]]) -> T:
    """One transaction's work."""
    async with await psycopg.AsyncConnection.connect(connection_string(settings)) as connection:
        return await work(connection)


async def key_of(settings: Settings, owner: str, *scopes: str, **more: object) -> str:
    """A key of a user, who is added where there is none."""

    async def work(connection: accounts.Connection) -> str:
        if owner not in {row["owner_id"] for row in await accounts.users(connection)}:
            await accounts.add_user(connection, owner)
        return await accounts.create_key(connection, owner, scopes or ("read", "write"), **more)  # type: ignore[arg-type]

    return await with_accounts(settings, work)


def id_of(key: str) -> str:
    parsed = tokens.parse_key(key)
    assert parsed is not None
    return parsed.key_id


async def dead(ask: Callable[[], Awaitable[httpx.Response]]) -> float:
    """Seconds until the answer is 401."""
    begun = time.monotonic()
    async with asyncio.timeout(60):
        while (await ask()).status_code != 401:
            await asyncio.sleep(0.05)
    return time.monotonic() - begun
