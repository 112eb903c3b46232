"""Exports of a conversation: Markdown, JSON or HTML, alone or as a zip with its media, made while they are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from stream_zip import ZIP_32, MemberFile, stream_zip

from polylogue.api.compare_stream import Working
from polylogue.api.errors import not_found
from polylogue.api.export_contents import (
    Export,
    MediaChoice,
    PlaceOf,
    assets_of,
    bundled,
    export_of,
    left_out,
    linked,
)
from polylogue.api.export_html import html
from polylogue.api.export_json import as_json
from polylogue.api.export_markdown import markdown
from polylogue.api.file_names import saved_as
from polylogue.api.lineage import Row, family
from polylogue.api.principal import Asking
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.api.web_ui import media_origins
from polylogue.api.zip_contents import Entry
from polylogue.api.zip_download import MODE, files_of, sent
from polylogue.infra.settings import Settings
from polylogue.media.reading import PIECE_BYTES, ObjectReader

Format = Literal["md", "json", "html"]
Render = Callable[[Export], Iterator[str]]

router = APIRouter(prefix="/conversations", tags=["conversations"])
_TYPES: dict[Format, str] = {
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
}
_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file to save; with bundled media a zip of it and the folder assets/",
        "content": {
            "text/markdown": _FILE,
            "application/json": {},
            "text/html": _FILE,
            "application/zip": _FILE,
        },
    }
}
# Opened from this very origin, too, it must do nothing but be read.
_PAGE_POLICY = "sandbox; frame-ancestors 'none'"


@dataclass(frozen=True)
class Wanted:
    format: Format
    media: MediaChoice
    origin: str  # of this server, as the asker knows it
    at: datetime


@router.get("/{conversation_id}/export", response_class=Response, responses=_ANSWERS)
async def export(
    services: Working,
    asking: Asking,
    conversation_id: str,
    request: Request,
    *,
    format: Annotated[Format, Query(description="Markdown, JSON or HTML")] = "md",  # noqa: A002 (its name in the URL)
    media: Annotated[
        MediaChoice, Query(description="links to media, a zip that holds them, or neither")
    ] = "linked",
) -> Response:
    """The whole conversation as a file to keep, with the turns that it shares with others."""
    await placed(services, asking.owner, conversation_id)
    async with services.pool.connection() as connection:
        found = await family(connection, asking.owner, conversation_id)
    if found is None:
        raise not_found()
    wanted = Wanted(format, media, str(request.base_url).rstrip("/"), datetime.now(UTC))
    return await exported(services, *found, wanted)


async def exported(services: Services, head: Row, turns: list[Row], wanted: Wanted) -> Response:
    """Raises ApiError 503 where too many files go out at once."""
    settings = services.settings
    if wanted.media == "bundled":
        headers = {"Content-Type": "application/zip"} | saved_as(head["title"], ".zip")
        made = bundle(services.reader, head, turns, wanted, settings)
    else:
        headers = {"Content-Type": _TYPES[wanted.format]} | saved_as(head["title"], f".{wanted.format}")
        headers["Content-Security-Policy"] = _PAGE_POLICY
        made = document(head, turns, wanted, settings)
    return await sent(services, made, headers)


def document(head: Row, turns: list[Row], wanted: Wanted, settings: Settings) -> Generator[bytes]:
    """The file alone."""
    place_of = linked(wanted.origin) if wanted.media == "linked" else left_out
    made = export_of(head, turns, place_of, at=wanted.at, media=wanted.media, note=note_of(wanted, settings))
    yield from _pieces(renderer(wanted, settings)(made))


def bundle(
    reader: ObjectReader, head: Row, turns: list[Row], wanted: Wanted, settings: Settings
) -> Generator[bytes]:
    """Blocks. The document comes last, since it tells which files were not to be had."""
    sources: list[Generator[bytes]] = []
    try:
        yield from stream_zip(
            _members(reader, head, turns, wanted, settings=settings, sources=sources), chunk_size=PIECE_BYTES
        )
    finally:
        for source in sources:
            source.close()


def _members(
    reader: ObjectReader,
    head: Row,
    turns: list[Row],
    wanted: Wanted,
    *,
    settings: Settings,
    sources: list[Generator[bytes]],
) -> Iterator[MemberFile]:
    done: list[tuple[Entry, str | None]] = []
    yield from files_of(reader, assets_of(turns), done, sources)
    place_of: PlaceOf = bundled(done)
    made = export_of(head, turns, place_of, at=wanted.at, media=wanted.media, note=note_of(wanted, settings))
    pieces = _pieces(renderer(wanted, settings)(made))
    yield f"conversation.{wanted.format}", wanted.at, MODE, ZIP_32, pieces


def renderer(wanted: Wanted, settings: Settings) -> Render:
    match wanted.format:
        case "md":
            return markdown
        case "json":
            return as_json
        case "html":
            return lambda made: html(made, _sources(wanted, settings))


def _sources(wanted: Wanted, settings: Settings) -> list[str]:
    match wanted.media:
        case "none":
            return []
        case "bundled":
            return ["'self'", "file:"]
        case "linked":
            # An address of ours leads on to where the file is.
            return [wanted.origin, *media_origins(settings)]


def note_of(wanted: Wanted, settings: Settings) -> str:
    """Where the media are, and who can open them."""
    match wanted.media:
        case "none":
            return "Media were left out."
        case "bundled":
            return "Media are in the folder assets beside this file."
        case "linked" if settings.auth_mode == "keys":
            return (
                f"Links to media open only for whoever is signed in at {wanted.origin} as the owner of this "
                "conversation."
            )
        case "linked":
            return f"Links to media open only on the machine that runs Polylogue, at {wanted.origin}, while it runs."


def _pieces(texts: Iterator[str]) -> Generator[bytes]:
    """A piece for each so many bytes, however small the texts are."""
    held: list[bytes] = []
    size = 0
    for text in texts:
        held.append(text.encode(errors="replace"))
        size += len(held[-1])
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
