"""Sharing: a read-only link to a conversation for whoever has it, its media included, until it is revoked."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from polylogue.api.compare_stream import Working
from polylogue.api.conversations import ACCEPTED, seen_or_accepted
from polylogue.api.errors import not_found
from polylogue.api.lineage import Row, family, shows
from polylogue.api.media import FILE_ANSWERS, Version
from polylogue.api.media_content import File, file_of, proxied, redirected
from polylogue.api.media_rows import medium
from polylogue.api.principal import Asking
from polylogue.api.share_links import Shared, link_of, opened, revoke, share
from polylogue.api.shared_conversation import as_shared, parse_attached

router = APIRouter(tags=["sharing"])
# No copy outlives the link, no search engine lists it, and nobody who is led on from it learns it.
_KEPT_BY_NOBODY = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",
}
_MESSAGE = """
    SELECT message_id, conversation_id, turn_id, role, model_id, attachments FROM conversation_messages
    WHERE owner_id = %(owner)s AND (message_id = %(message)s OR turn_id = %(turn)s AND role = 'user')
    ORDER BY message_id LIMIT 1
"""
_ENDING = re.compile(r"[^A-Za-z0-9]")


@router.get("/conversations/{conversation_id}/share")
async def shared_link(
    services: Working, asking: Asking, conversation_id: str, request: Request
) -> dict[str, Any]:
    """The link that opens the conversation; 404 where it is not shared."""
    return _link(request, conversation_id, await link_of(services, asking.owner, conversation_id))


@router.post("/conversations/{conversation_id}/share", responses=ACCEPTED)
async def make_link(
    services: Working, asking: Asking, conversation_id: str, request: Request, response: Response
) -> dict[str, Any]:
    """A link by which everybody can read the conversation; asking again gives the same one."""
    share_id, shown = await share(services, asking.owner, conversation_id)
    seen_or_accepted(response, seen=shown)
    return _link(request, conversation_id, share_id)


@router.delete("/conversations/{conversation_id}/share", responses=ACCEPTED)
async def revoke_link(
    services: Working, asking: Asking, conversation_id: str, response: Response
) -> dict[str, Any]:
    """Nobody reads the conversation by its link any more; a later link is another one."""
    shown = await revoke(services, asking.owner, conversation_id)
    seen_or_accepted(response, seen=shown)
    return {"conversation_id": conversation_id, "status": "revoked" if shown else "revoking"}


@router.get("/shared/{share_id}")
async def shared_conversation(services: Working, share_id: str, response: Response) -> dict[str, Any]:
    """The conversation behind a link, read-only, without anything of its owner."""
    response.headers.update(_KEPT_BY_NOBODY)
    async with services.pool.connection() as connection:
        behind = await opened(connection, share_id)
    async with services.pool.connection() as connection:
        found = await family(connection, behind.owner, behind.conversation_id)
    if found is None:
        raise not_found("link")
    return as_shared(share_id, *found)


@router.get("/shared/{share_id}/media/{media_id}/content", response_class=Response, responses=FILE_ANSWERS)
async def shared_content(
    services: Working, share_id: str, media_id: str, request: Request, rendition: Version = "original"
) -> Response:
    """The file of a medium of a shared conversation, as `GET /media/{media_id}/content` gives it to the owner."""
    async with services.pool.connection() as connection:
        behind = await opened(connection, share_id)
        attached = parse_attached(media_id)
        if attached is not None:
            file = await _picture(connection, behind, *attached)
    if attached is None:
        row = await medium(services.pool, behind.owner, media_id)
        async with services.pool.connection() as connection:
            await _message(connection, behind, message=row["response_id"])
        file = file_of(row, rendition)
    if services.settings.media_proxy:
        answer = await proxied(services, file, request.headers, body=True)
    else:
        answer = redirected(services.url_for_guests, file)
    answer.headers.update(_KEPT_BY_NOBODY)
    return answer


async def _picture(connection: AsyncConnection[Any], behind: Shared, turn_id: str, number: int) -> File:
    """Raises ApiError 404."""
    prompt = await _message(connection, behind, turn=turn_id)
    pictures = prompt["attachments"] or ()
    if not 1 <= number <= len(pictures):
        raise not_found("medium")
    picture = pictures[number - 1]
    ending = _ENDING.sub("", picture["content_type"].rpartition("/")[2])
    return File(picture["key"], picture["content_type"], picture["size_bytes"], f"picture-{number}.{ending}")


async def _message(
    connection: AsyncConnection[Any], behind: Shared, *, message: str | None = None, turn: str | None = None
) -> Row:
    """A message that the link shows: what else its owner has is not behind it. Raises ApiError 404."""
    async with connection.cursor(row_factory=dict_row) as rows:
        values = {"owner": behind.owner, "message": message, "turn": turn}
        found = await (await rows.execute(_MESSAGE, values)).fetchone()
    if found is None or not await shows(connection, behind.owner, behind.conversation_id, found):
        raise not_found("medium")
    return found


def _link(request: Request, conversation_id: str, share_id: str) -> dict[str, Any]:
    address = f"{str(request.base_url).rstrip('/')}/shared/{share_id}"
    return {"conversation_id": conversation_id, "share_id": share_id, "url": address}
