"""A stored medium as a data URL, for clients that were promised bytes instead of links."""

from __future__ import annotations

import asyncio

import msgspec
import pybase64

from polylogue.api import cursor
from polylogue.api.errors import ApiError
from polylogue.api.media_content import file_of
from polylogue.api.media_rows import medium
from polylogue.api.projected import until_projected
from polylogue.api.services import Services
from polylogue.infra.logs import get_logger
from polylogue.media.reading import ObjectMissingError
from polylogue.media.store import StorageUnavailableError
from polylogue.schemas.frames import Frame, MediaFrame

TABLES_S = 10.0  # the projector is a moment behind the log
MOST_BYTES = 20 * 1024 * 1024  # in one message; what is larger stays a link

log = get_logger("polylogue.api.openai")


async def inlined(services: Services, owner: str, frame: Frame) -> Frame:
    """The frame with the medium itself in its URL; as it was where that cannot be had."""
    if not isinstance(frame, MediaFrame) or frame.size_bytes > MOST_BYTES:
        return frame
    try:
        data = await _read(services, owner, frame)
    except (ApiError, ObjectMissingError, StorageUnavailableError, TimeoutError) as error:
        log.warning("a medium stays a link", error=type(error).__name__)
        return frame
    url = f"data:{frame.content_type};base64,{pybase64.b64encode(data).decode()}"
    return msgspec.structs.replace(frame, url=url)


async def _read(services: Services, owner: str, frame: MediaFrame) -> bytes:
    at = cursor.parse(frame.id)
    async with asyncio.timeout(TABLES_S):
        await until_projected(services, at.partition, at.offset, ("media_objects",))
    file = file_of(await medium(services.pool, owner, frame.media_id), "original")
    pieces = services.reader.in_background(services.reader.pieces(file.key, 0, file.size_bytes - 1))
    try:
        return b"".join([piece async for piece in pieces.rest()])
    finally:
        pieces.close()
