"""The first start where a sign-in is needed: a link for the administrator, shown to a terminal and to nothing else."""

from __future__ import annotations

import sys

import psycopg
import psycopg_pool

from polylogue.api.auth import accounts
from polylogue.api.auth.access import Access
from polylogue.infra.logs import get_logger

log = get_logger("polylogue.api.auth")


async def greet(access: Access, port: int) -> None:
    """Where nobody can sign in yet, shows a link; without a terminal, says how to get one."""
    if not access.signed_in or not await access.nobody_yet():
        return
    if not sys.stdout.isatty():  # what is printed here may be kept in a file, for whoever reads it
        log.warning("nobody can sign in yet; run: polylogue users first-link")
        return
    try:
        async with access.pool.connection() as connection, connection.transaction():
            link = await accounts.first_link(connection)
    except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
        log.warning("no first link was made", error=type(error).__name__)
        return
    if link is not None:
        print(f"\n{told(base(access.settings.host, port), link)}\n", flush=True)  # noqa: T201 (not for a log)


def told(url: str, link: str) -> str:
    hours = round(accounts.LINK_LIFE.total_seconds() / 3600)
    return (
        f"Sign in as {accounts.FIRST_USER}, once and within {hours} hour: {accounts.link_address(url, link)}\n"
        "Then give others access with: polylogue users add NAME, polylogue keys create NAME"
    )


def base(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
