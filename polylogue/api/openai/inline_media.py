"""A stored medium as a data URL, for clients that were promised bytes instead of links."""

from __future__ import annotations

import asyncio

import msgspec
import pybase64

from polylogue.api import cursor
from polylogue.api.errors import ApiError
from polylogue.api.media_content import file_of
from polylogue.api.media_rows import medium
from polylogue.api.openai.media_budget import MediaBudget
from polylogue.api.projected import until_projected
from polylogue.api.services import Services
from polylogue.infra.logs import get_logger
from polylogue.media.reading import ObjectMissingError
from polylogue.media.store import StorageUnavailableError
from polylogue.schemas.frames import Frame, MediaFrame

TABLES_S = 10.0  # the projector is a moment behind the log
MOST_BYTES = 20 * 1024 * 1024  # in one message; what is larger stays a link
BUDGET_S = 10.0  # that readers who are slow to take theirs may keep another waiting

log = get_logger("polylogue.api.openai")


class InlineMedia:
    """Of one answer: what it holds counts until it is let go."""

    def __init__(self, services: Services, owner: str, budget: MediaBudget) -> None:
        self._services, self._owner, self._budget = services, owner, budget
        self._held = 0

    async def seen(self, frame: Frame) -> Frame:
        """The frame with the medium itself in its URL; as it was where that cannot be had in time."""
        if not isinstance(frame, MediaFrame) or frame.size_bytes > MOST_BYTES:
            return frame
        if self._held + frame.size_bytes > self._budget.most:
            return frame  # it would wait for itself
        try:
            async with asyncio.timeout(BUDGET_S):
                await self._budget.take(frame.size_bytes)
            self._held += frame.size_bytes
            data = await _read(self._services, self._owner, frame)
        except (ApiError, ObjectMissingError, StorageUnavailableError, TimeoutError) as error:
            log.warning("a medium stays a link", error=type(error).__name__)
            return frame
        url = f"data:{frame.content_type};base64,{pybase64.b64encode(data).decode()}"
        return msgspec.structs.replace(frame, url=url)

    def let_go(self) -> None:
        """What was inlined is written, or never will be."""
        held, self._held = self._held, 0
        if held:
            self._budget.give(held)


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
