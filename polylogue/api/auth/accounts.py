"""Users, API keys and one-time links: what the command line does with them, each function one transaction's work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from polylogue.api.auth import tokens
from polylogue.api.principal import ALL_SCOPES

Connection = AsyncConnection[Any]
Row = dict[str, Any]

FIRST_USER = "admin"
LINK_LIFE = timedelta(hours=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


class AccountError(Exception):
    """It cannot be done; the message is a sentence."""


def check_name(owner: str) -> None:
    """Raises AccountError."""
    if not _NAME.fullmatch(owner):
        raise AccountError(
            "A name has up to 100 letters, digits and . _ @ + -, and begins with one of the first two."
        )


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """Raises AccountError."""
    wrong = sorted(set(scopes) - ALL_SCOPES)
    if wrong or not scopes:
        named = f"There is no scope {wrong[0]}" if wrong else "A key needs a scope"
        raise AccountError(f"{named}; there are {', '.join(sorted(ALL_SCOPES))}.")
    return sorted(set(scopes))


async def add_user(connection: Connection, owner: str) -> None:
    """Raises AccountError where there is such a user."""
    check_name(owner)
    added = await connection.execute(
        "INSERT INTO users (owner_id) VALUES (%s) ON CONFLICT DO NOTHING", (owner,)
    )
    if not added.rowcount:
        raise AccountError(f"There is a user {owner} already.")


async def users(connection: Connection) -> list[Row]:
    return await _rows(
        connection,
        """SELECT u.owner_id, u.created_at, u.disabled_at, count(k.key_id) FILTER (
               WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) AS keys
           FROM users u LEFT JOIN api_keys k USING (owner_id)
           GROUP BY u.owner_id, u.created_at, u.disabled_at ORDER BY u.owner_id""",
    )


async def set_disabled(connection: Connection, owner: str, *, disabled: bool) -> None:
    """Nothing of a disabled user is deleted; keys, sessions and links of theirs open nothing, nor do the
    conversations that they have shared. Raises AccountError."""
    at = "coalesce(disabled_at, now())" if disabled else "NULL"
    done = await connection.execute(f"UPDATE users SET disabled_at = {at} WHERE owner_id = %s", (owner,))  # noqa: S608 (our own words)
    if not done.rowcount:
        raise AccountError(f"There is no user {owner}.")


async def create_key(
    connection: Connection,
    owner: str,
    scopes: Sequence[str],
    *,
    label: str = "",
    life: timedelta | None = None,
) -> str:
    """The key's text, which is known to nobody afterwards. Raises AccountError."""
    chosen = check_scopes(scopes)
    await _check_user(connection, owner)
    key = tokens.new_key()
    await connection.execute(
        """INSERT INTO api_keys (key_id, owner_id, digest, scopes, label, expires_at)
           VALUES (%s, %s, %s, %s, %s, now() + %s::interval)""",
        (key.key_id, owner, tokens.digest(key.secret), chosen, label, life),
    )
    return key.text


async def keys(connection: Connection, owner: str | None = None) -> list[Row]:
    return await _rows(
        connection,
        """SELECT key_id, owner_id, scopes, label, created_at, expires_at, revoked_at, successor,
               revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS works
           FROM api_keys WHERE %(owner)s::text IS NULL OR owner_id = %(owner)s ORDER BY owner_id, created_at, key_id""",
        {"owner": owner},
    )


async def rotate_key(connection: Connection, key_id: str, overlap: timedelta) -> tuple[str, datetime]:
    """A new key that may do the same, and when the former one ends. Raises AccountError."""
    rows = await _rows(
        connection,
        """SELECT owner_id, scopes, label, revoked_at IS NOT NULL OR expires_at <= now() AS ended,
               expires_at - created_at AS life, successor FROM api_keys WHERE key_id = %s FOR UPDATE""",
        (key_id,),
    )
    if not rows:
        raise AccountError(f"There is no key {key_id}.")
    (old,) = rows
    if old["ended"]:
        raise AccountError(f"The key {key_id} works no more; create another.")
    if old["successor"]:
        raise AccountError(f"The key {key_id} was rotated before, to {old['successor']}.")
    made = await create_key(connection, old["owner_id"], old["scopes"], label=old["label"], life=old["life"])
    parsed = tokens.parse_key(made)
    assert parsed is not None
    (ended,) = await _rows(
        connection,
        """UPDATE api_keys SET successor = %s, expires_at = least(expires_at, now() + %s)
           WHERE key_id = %s RETURNING expires_at""",
        (parsed.key_id, overlap, key_id),
    )
    return made, ended["expires_at"]


async def revoke_key(connection: Connection, key_id: str) -> None:
    """Its sessions end with it. Raises AccountError."""
    done = await connection.execute(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s", (key_id,)
    )
    if not done.rowcount:
        raise AccountError(f"There is no key {key_id}.")


async def create_link(
    connection: Connection, owner: str, scopes: Sequence[str], life: timedelta = LINK_LIFE
) -> str:
    """The secret of a link that signs a browser in once. Raises AccountError."""
    chosen = check_scopes(scopes)
    await _check_user(connection, owner)
    link = tokens.new_secret(tokens.LINK_PREFIX)
    await connection.execute(
        """INSERT INTO one_time_secrets (digest, kind, owner_id, scopes, expires_at)
           VALUES (%s, 'link', %s, %s, now() + %s)""",
        (tokens.digest(link), owner, chosen, life),
    )
    return link


async def end_sessions(connection: Connection, owner: str) -> int:
    """Signs every browser of the user out; returns how many there were."""
    await connection.execute("DELETE FROM one_time_secrets WHERE owner_id = %s", (owner,))
    return (await connection.execute("DELETE FROM sessions WHERE owner_id = %s", (owner,))).rowcount


async def first_link(connection: Connection) -> str | None:
    """Where there is no user yet: makes the administrator, and a link for them. None at every later start."""
    # Two processes that start together make one of them.
    await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    if await nobody_yet(connection):
        await add_user(connection, FIRST_USER)
        return await create_link(connection, FIRST_USER, ("read", "write", "admin"))
    return None


async def nobody_yet(connection: Connection) -> bool:
    return not await _rows(connection, "SELECT 1 FROM users LIMIT 1")


def link_address(base: str, link: str) -> str:
    """What stands behind # is sent to no server, so that no log or proxy sees it."""
    return f"{base.rstrip('/')}/sign-in#{link}"


async def _check_user(connection: Connection, owner: str) -> None:
    rows = await _rows(connection, "SELECT disabled_at FROM users WHERE owner_id = %s", (owner,))
    if not rows:
        raise AccountError(f"There is no user {owner}; add one with: polylogue users add {owner}")
    if rows[0]["disabled_at"] is not None:
        raise AccountError(f"The user {owner} is disabled.")


async def _rows(connection: Connection, sql: str, parameters: Any = ()) -> list[Row]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, parameters)
        return await cursor.fetchall()
