"""Share links: what one looks like, whose conversation it opens, and how an owner makes, finds and revokes it."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from polylogue.api.changes import channel_of, send, told
from polylogue.api.errors import ApiError, not_found
from polylogue.api.services import Services
from polylogue.schemas.commands import ShareConversation
from polylogue.schemas.events import ConversationShared

_SECRET_BYTES = 24  # 192 bits: nobody finds one by guessing
# The secret, then the conversation's id, by which it is found without an index of secrets.
_LINK = re.compile(r"[0-9A-Za-z_-]{32}([0-9A-Za-z_-]{1,64})")
_OF_CONVERSATION = "SELECT share_id, owner_id FROM conversations WHERE conversation_id = %s AND NOT deleted"
# A disabled user shares nothing, and could not take the link back.
_OPEN = """NOT deleted AND NOT EXISTS (
    SELECT FROM users WHERE users.owner_id = conversations.owner_id AND users.disabled_at IS NOT NULL)"""
_OPENED = f"SELECT share_id, owner_id FROM conversations WHERE conversation_id = %s AND {_OPEN}"  # noqa: S608 (our own words)
_WORKING = (
    f"SELECT share_id FROM conversations WHERE conversation_id = ANY(%s) AND share_id = ANY(%s) AND {_OPEN}"  # noqa: S608 (as above)
)
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('share ' || %s, 0))"
TABLES = ("conversations",)


@dataclass(frozen=True)
class Shared:
    """What a link opens."""

    owner: str
    conversation_id: str


async def opened(connection: AsyncConnection[Any], share_id: str) -> Shared:
    """Asks the tables each time, so that a revoked link is dead at once. Raises ApiError 404."""
    found = _LINK.fullmatch(share_id)
    row = None
    if found is not None:
        row = await (await connection.execute(_OPENED, (found[1],))).fetchone()
    if found is None or row is None or row[0] is None or not hmac.compare_digest(row[0], share_id):
        raise not_found("link")
    return Shared(row[1], found[1])


async def working(connection: AsyncConnection[Any], links: Collection[str]) -> set[str]:
    """Those of the links that still open something."""
    named = {link: found[1] for link in links if (found := _LINK.fullmatch(link))}
    rows = await connection.execute(_WORKING, (list(named.values()), list(named)))
    return {link for (link,) in await rows.fetchall()}


async def link_of(services: Services, owner: str, conversation_id: str) -> str:
    """Raises ApiError 404 where there is no such conversation, or no link to it."""
    async with services.pool.connection() as connection:
        link = await _link(connection, owner, conversation_id)
    if link is None:
        raise ApiError(404, "not_shared", "This conversation is not shared.")
    return link


async def share(services: Services, owner: str, conversation_id: str) -> tuple[str, bool]:
    """The link, the same one each time, and whether it opens by now.

    Raises ApiError and what means that a server is away.
    """
    channel = await channel_of(services, owner, conversation_id)
    async with services.sharing, services.pool.connection() as connection:
        await connection.execute(_ONE_AT_A_TIME, (conversation_id,))  # two at once give one link
        known = await _link(connection, owner, conversation_id, missing_is_new=True)
        if known is not None:
            return known, True
        link = secrets.token_urlsafe(_SECRET_BYTES) + conversation_id
        offset = await send(services, owner, conversation_id, ShareConversation(share_id=link))
        return link, await told(services, channel, {ConversationShared.__name__: offset}, TABLES)


async def revoke(services: Services, owner: str, conversation_id: str) -> bool:
    """Returns whether the link is dead by now; where there was none that is a success.

    Raises ApiError and what means that a server is away.
    """
    channel = await channel_of(services, owner, conversation_id)
    async with services.sharing, services.pool.connection() as connection:
        await connection.execute(_ONE_AT_A_TIME, (conversation_id,))
        # Sent even where no link is seen: one may be on its way.
        offset = await send(services, owner, conversation_id, ShareConversation(share_id=None))
        return await told(services, channel, {ConversationShared.__name__: offset}, TABLES)


async def _link(
    connection: AsyncConnection[Any], owner: str, conversation_id: str, *, missing_is_new: bool = False
) -> str | None:
    """`missing_is_new`: somebody has looked, and the tables are a moment behind. Raises ApiError 404."""
    row = None
    if "\0" not in conversation_id:
        row = await (await connection.execute(_OF_CONVERSATION, (conversation_id,))).fetchone()
    if row is not None and row[1] == owner:
        link: str | None = row[0]
        return link
    if missing_is_new and row is None:
        return None
    raise not_found()
