"""Single media: what is known of one, its file, and its deletion."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from polylogue.api.compare_stream import Working
from polylogue.api.conversations import ACCEPTED, Force, seen_or_accepted
from polylogue.api.deletion import delete_medium
from polylogue.api.media_content import RenditionName, file_of, proxied, redirected
from polylogue.api.media_rows import medium
from polylogue.api.principal import Asking
from polylogue.api.services import Services
from polylogue.api.stored import show_medium
from polylogue.api.times import timed

router = APIRouter(prefix="/media", tags=["media"])
FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    302: {"description": "Where the file is, for a while"},
    206: {"description": "The part that was asked for"},
    304: {"description": "The file is the one that the client has"},
    409: {"description": "The file is not there yet, or was never stored"},
    410: {"description": "The medium expired or was deleted; says when and why"},
    416: {"description": "The part lies beyond the end of the file"},
}


@router.get("/{media_id}")
async def one_medium(services: Working, asking: Asking, media_id: str) -> dict[str, Any]:
    """Everything that is known of a medium; `message` says in words why there is none, `url` opens for a while."""
    row = await medium(services.pool, asking.owner, media_id)
    show_medium(row, services.url_for)
    row.setdefault("url", None)
    return timed(row)


@router.head("/{media_id}")
async def one_medium_head(services: Working, asking: Asking, media_id: str) -> dict[str, Any]:
    """Whether there is such a medium, as a GET would say it."""
    return await one_medium(services, asking, media_id)


Version = Annotated[RenditionName, Query(description="which version of the medium")]


@router.get("/{media_id}/content", response_class=Response, responses=FILE_ANSWERS)
async def content(
    services: Working, asking: Asking, media_id: str, request: Request, rendition: Version = "original"
) -> Response:
    """The file: a redirect to a fresh URL, or, where MEDIA_PROXY is set, its bytes, in ranges as asked for."""
    return await _content(services, asking.owner, media_id, request, rendition)


@router.head("/{media_id}/content", response_class=Response, responses=FILE_ANSWERS)
async def content_head(
    services: Working, asking: Asking, media_id: str, request: Request, rendition: Version = "original"
) -> Response:
    """What a GET would say of the file."""
    return await _content(services, asking.owner, media_id, request, rendition)


async def _content(
    services: Services, owner: str, media_id: str, request: Request, rendition: RenditionName
) -> Response:
    file = file_of(await medium(services.pool, owner, media_id), rendition)
    if not services.settings.media_proxy:
        return redirected(services.url_for, file)
    return await proxied(services, file, request.headers, body=request.method == "GET")


@router.delete("/{media_id}", responses=ACCEPTED)
async def delete(
    services: Working, asking: Asking, media_id: str, response: Response, *, force: Force = False
) -> dict[str, Any]:
    """Removes the file and everything made of it, for good. Deleting it again is a success."""
    shown = await delete_medium(services, asking.owner, media_id, force=force)
    seen_or_accepted(response, seen=shown)
    return {"media_id": media_id, "status": "deleted" if shown else "deleting"}
