"""Finds out who asks, from a key, a cookie or a ticket, and keeps it for two seconds; has what else the guard needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import psycopg
import psycopg_pool
from psycopg_pool import AsyncConnectionPool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from polylogue.api import share_links
from polylogue.api.auth import accounts, sign_ins, tokens
from polylogue.api.auth.ledger import Ledger, Pool
from polylogue.api.auth.limits import Policy
from polylogue.api.auth.open_streams import OpenStreams
from polylogue.api.auth.origins import allowed_origins
from polylogue.api.principal import Principal
from polylogue.infra.logs import get_logger
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.media.quota_file import quotas_of

BELIEVED_S = 2.0  # a revoked key is dead everywhere within five
MOST_BELIEVED = 10_000
FORGET_EVERY_S = 600.0
LINK = "share"  # a credential as `key:…` and `session:…` are
COOKIE, SECURE_COOKIE = "polylogue_session", "__Host-polylogue_session"

log = get_logger("polylogue.api.auth")


class Access:
    """One for a process. Without sign-in it asks the database for nothing but limits that quotas name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.signed_in = settings.auth_mode == "keys"
        self.allowed_origins = allowed_origins(settings.cors_origins)
        self.policy = Policy(settings, quotas_of(settings), signed_in=self.signed_in)
        self.session_life = timedelta(hours=settings.session_life_h)
        self._pool: Pool | None = None
        self._ledger: Ledger | None = None
        self.streams = OpenStreams(self._working)
        self._believed: dict[bytes, tuple[float, Principal]] = {}

    @property
    def pool(self) -> Pool:
        assert self._pool is not None, "outside `running`"
        return self._pool

    @property
    def ledger(self) -> Ledger:
        assert self._ledger is not None, "outside `running`"
        return self._ledger

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A pool of its own: who asks, and how often, is not to wait behind somebody's search."""
        self._pool = AsyncConnectionPool(
            connection_string(self.settings),
            min_size=0,
            max_size=4,
            open=False,
            timeout=2,
            kwargs={"autocommit": True},
        )
        await self._pool.open(wait=False)
        self._ledger = Ledger(self._pool)
        tasks = [
            asyncio.create_task(one)
            for one in [self.streams.watch(), *([self._forget()] if self.signed_in else [])]
        ]
        try:
            async with self._ledger.running():
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._pool.close(timeout=2)

    async def who(self, headers: Headers) -> tuple[Principal | None, bool]:
        """Who asks, and whether the browser said so by itself: with a cookie, and not in a header."""
        given = headers.get("authorization")
        if given is not None:
            scheme, _, text = given.partition(" ")
            key = tokens.parse_key(text.strip()) if scheme.lower() == "bearer" else None
            return (await self.of_key(key) if key else None), False
        secret = session_secret(headers)
        if secret is None:
            return None, False
        return await self._believe(secret, lambda connection: sign_ins.of_session(connection, secret)), True

    async def of_key(self, key: tokens.Key) -> Principal | None:
        return await self._believe(key.text, lambda connection: sign_ins.of_key(connection, key))

    async def of_ticket(self, query: bytes) -> Principal | None:
        (ticket,) = parse_qs(query.decode("latin-1")).get("ticket", [""])[:1]
        if not tokens.is_secret(tokens.TICKET_PREFIX, ticket):
            return None
        async with self.pool.connection() as connection:
            return await sign_ins.use_ticket(connection, ticket)

    def doubt(self, secret: str) -> None:
        """It has just been ended here, and is to open nothing from now on."""
        self._believed.pop(tokens.digest(secret), None)

    async def _believe(
        self, secret: str, ask: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Principal | None]]
    ) -> Principal | None:
        """What is not known is asked for each time: who is let in again must not wait."""
        name = tokens.digest(secret)  # the secret itself stays nowhere
        known = self._believed.get(name)
        if known is not None and time.monotonic() - known[0] < BELIEVED_S:
            return known[1]
        self._believed.pop(name, None)
        at = time.monotonic()
        async with self.pool.connection() as connection:
            found = await ask(connection)
        if found is not None:
            if len(self._believed) >= MOST_BELIEVED:
                self._believed.clear()
            self._believed[name] = (at, found)
        return found

    async def _working(self, credentials: Collection[str]) -> set[str]:
        links = {one.removeprefix(f"{LINK}:") for one in credentials if one.startswith(f"{LINK}:")}
        async with self.pool.connection() as connection:
            working = await sign_ins.working(connection, credentials)
            if links:
                working |= {f"{LINK}:{link}" for link in await share_links.working(connection, links)}
        return working

    async def nobody_yet(self) -> bool:
        """Whether there is no user at all; false where that cannot be found out."""
        try:
            async with self.pool.connection() as connection:
                return await accounts.nobody_yet(connection)
        except (psycopg.Error, psycopg_pool.PoolTimeout):
            return False

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            try:
                async with self.pool.connection() as connection:
                    await sign_ins.forget(connection)
            except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
                log.warning("ended sessions were not removed", error=type(error).__name__)


def session_secret(headers: Headers) -> str | None:
    """The session that a cookie names, where it has the form of one. What other sites of this host have put beside it
    is read as browsers do: it may be anything, and takes no session away."""
    cookies = [cookie_parser(one) for one in headers.getlist("cookie")]  # HTTP/2 has one to a line
    for name in (SECURE_COOKIE, COOKIE):
        for found in cookies:
            if tokens.is_secret(tokens.SESSION_PREFIX, found.get(name, "")):
                return found[name]
    return None
