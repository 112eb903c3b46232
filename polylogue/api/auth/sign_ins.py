"""What keys, sessions, links and tickets stand for, as the database says now: each function one statement's work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from polylogue.api.auth import tokens
from polylogue.api.principal import Principal

Connection = AsyncConnection[Any]

TICKET_LIFE = timedelta(seconds=30)
_KEY_WORKS = (
    "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL"
)
_SESSION_WORKS = """s.expires_at > now() AND u.disabled_at IS NULL AND (
    s.key_id IS NULL OR EXISTS (SELECT FROM api_keys k WHERE k.key_id = s.key_id
        AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())))"""


@dataclass(frozen=True)
class SignedIn:
    """A session as its browser is given it: the secret is in the cookie and nowhere else."""

    secret: str
    principal: Principal
    expires_at: datetime


async def of_key(connection: Connection, key: tokens.Key) -> Principal | None:
    row = await _row(
        connection,
        f"SELECT k.owner_id, k.scopes, k.digest FROM api_keys k JOIN users u USING (owner_id)"  # noqa: S608 (our own words)
        f" WHERE k.key_id = %s AND {_KEY_WORKS}",
        key.key_id,
    )
    # A key that does not exist takes as long as one whose secret is wrong.
    if not tokens.matches(key.secret, row["digest"] if row else b"\0" * 32) or row is None:
        return None
    return Principal(row["owner_id"], frozenset(row["scopes"]), f"key:{key.key_id}")


async def of_session(connection: Connection, secret: str) -> Principal | None:
    kept = tokens.digest(secret)
    row = await _row(
        connection,
        f"SELECT s.owner_id, s.scopes FROM sessions s JOIN users u USING (owner_id)"  # noqa: S608 (our own words)
        f" WHERE s.digest = %s AND {_SESSION_WORKS}",
        kept,
    )
    return Principal(row["owner_id"], frozenset(row["scopes"]), f"session:{kept.hex()}") if row else None


async def sign_in(
    connection: Connection, owner: str, scopes: Collection[str], life: timedelta, key_id: str | None = None
) -> SignedIn:
    """Begins a session, for a link or for the key that it ends with."""
    secret = tokens.new_secret(tokens.SESSION_PREFIX)
    row = await _row(
        connection,
        """INSERT INTO sessions (digest, owner_id, scopes, key_id, expires_at)
           VALUES (%s, %s, %s, %s, least(now() + %s, (SELECT expires_at FROM api_keys WHERE key_id = %s)))
           RETURNING digest, expires_at""",
        tokens.digest(secret),
        owner,
        sorted(scopes),
        key_id,
        life,
        key_id,
    )
    assert row is not None
    standing = Principal(owner, frozenset(scopes), f"session:{row['digest'].hex()}")
    return SignedIn(secret, standing, row["expires_at"])


async def sign_out(connection: Connection, secret: str) -> None:
    await connection.execute("DELETE FROM sessions WHERE digest = %s", (tokens.digest(secret),))


async def use_link(connection: Connection, secret: str, life: timedelta) -> SignedIn | None:
    """None where the link is unknown, over, or was used before; of two at once, one gets in."""
    row = await _used(connection, "link", secret)
    return await sign_in(connection, row["owner_id"], row["scopes"], life) if row else None


async def make_ticket(connection: Connection, asking: Principal) -> str:
    """Opens one stream, once and soon, with no more than the right to read; ends with what it was asked with."""
    kind, _, name = asking.credential.partition(":")
    ticket = tokens.new_secret(tokens.TICKET_PREFIX)
    await connection.execute(
        """INSERT INTO one_time_secrets (digest, kind, owner_id, scopes, key_id, session, expires_at)
           VALUES (%s, 'ticket', %s, %s, %s, %s, now() + %s)""",
        (
            tokens.digest(ticket),
            asking.owner,
            ["read"],
            name if kind == "key" else None,
            bytes.fromhex(name) if kind == "session" else None,
            TICKET_LIFE,
        ),
    )
    return ticket


async def use_ticket(connection: Connection, secret: str) -> Principal | None:
    row = await _used(connection, "ticket", secret)
    if row is None:
        return None
    credential = f"key:{row['key_id']}" if row["key_id"] else f"session:{row['session'].hex()}"
    if credential not in await working(connection, {credential}):
        return None
    return Principal(row["owner_id"], frozenset(row["scopes"]), credential)


async def working(connection: Connection, credentials: Collection[str]) -> set[str]:
    """Those of the credentials (`key:…`, `session:…`) that still open something."""
    keys = [name for kind, _, name in (one.partition(":") for one in credentials) if kind == "key"]
    sessions = [
        bytes.fromhex(name)
        for kind, _, name in (one.partition(":") for one in credentials)
        if kind == "session"
    ]
    found = await connection.execute(
        f"""SELECT 'key:' || k.key_id FROM api_keys k JOIN users u USING (owner_id)
            WHERE k.key_id = ANY(%s) AND {_KEY_WORKS}
            UNION ALL SELECT 'session:' || encode(s.digest, 'hex') FROM sessions s JOIN users u USING (owner_id)
            WHERE s.digest = ANY(%s) AND {_SESSION_WORKS}""",  # noqa: S608 (our own words)
        (keys, sessions),
    )
    return {name for (name,) in await found.fetchall()}


async def forget(connection: Connection) -> None:
    """Removes what has ended by itself."""
    await connection.execute("DELETE FROM one_time_secrets WHERE expires_at <= now()")
    await connection.execute("DELETE FROM sessions WHERE expires_at <= now()")
    await connection.execute("DELETE FROM request_windows WHERE minute < extract(epoch FROM now()) / 60 - 60")
    await connection.execute("DELETE FROM open_streams WHERE renewed_at < now() - interval '1 hour'")


async def _used(connection: Connection, kind: str, secret: str) -> dict[str, Any] | None:
    return await _row(
        connection,
        """DELETE FROM one_time_secrets o USING users u
           WHERE o.digest = %s AND o.kind = %s AND o.expires_at > now()
               AND u.owner_id = o.owner_id AND u.disabled_at IS NULL
           RETURNING o.owner_id, o.scopes, o.key_id, o.session""",
        tokens.digest(secret),
        kind,
    )


async def _row(connection: Connection, sql: str, *parameters: Any) -> dict[str, Any] | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, parameters)
        return await cursor.fetchone()
