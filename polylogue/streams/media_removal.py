"""Carries out DeleteMedia and ExpireMedia: first every object of the medium goes, then readers are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.keys import medium_prefix
from polylogue.media.store import ObjectStore, StorageUnavailableError
from polylogue.schemas.claims import DeleteMedia, ExpireMedia, MediumRef
from polylogue.schemas.envelope import Request
from polylogue.schemas.events import MediaDeleted, MediaExpired
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_requests import NotCarriedOutError

AT_ONCE = 8  # deletes under way; there is no request for many that could be tried again as a whole

log = get_logger(__name__)


class MediaRemoval:
    """Removing what is not there is fine. Each method raises NotCarriedOutError where S3 cannot be used for as long as
    a medium may take to be stored, and those that tell raise ProducerUnusableError."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        outcomes: MediaOutcomes,
        *,
        quiet: Callable[[str], Awaitable[None]],
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._limit_s = settings.media_deadline_s
        self._store = store
        self._outcomes = outcomes
        self._progress = progress
        self.quiet = quiet  # returns when nothing more is being stored for a conversation

    async def delete(self, request: Request) -> None:
        data = request.data
        assert isinstance(data, DeleteMedia)
        await self.remove(data.medium)
        await self.tell_deleted(request.request_id, data.medium, data.reason, data.traceparent)

    async def expire(self, request: Request) -> None:
        data = request.data
        assert isinstance(data, ExpireMedia)
        medium = data.medium
        await self.remove(medium)
        expired = MediaExpired(media_id=medium.media_id, media_type=medium.media_type, reason=data.reason)
        await self._outcomes.removed(request.request_id, medium, expired, None)
        log.info("media_expired", media_id=medium.media_id)

    async def remove(self, medium: MediumRef) -> None:
        """The original, its smaller versions, and what a broken attempt may have left under its name."""
        await self.quiet(medium.conversation_id)
        crash_point("agent.removal_before")
        if medium.key is not None:
            try:
                prefix = medium_prefix(medium.key)
            except ValueError:
                raise NotCarriedOutError("the key of the medium is none") from None
            await self.remove_all(prefix)
        crash_point("agent.removed_before_emit")

    async def remove_all(self, prefix: str) -> list[str]:
        """Every object whose key begins so; returns the keys."""
        self._progress()
        deadline = time.monotonic() + self._limit_s
        at_once = asyncio.Semaphore(AT_ONCE)

        async def remove(key: str) -> None:
            async with at_once:
                await self._store.delete(key, deadline=deadline)
            crash_point("agent.object_removed")

        try:
            keys = [key async for key in self._store.keys(prefix, deadline=deadline)]
            await asyncio.gather(*(remove(key) for key in keys))
        except StorageUnavailableError as error:
            raise NotCarriedOutError(f"the objects could not be removed: {error}") from error
        return keys

    async def tell_deleted(
        self, request_id: str, medium: MediumRef, reason: str, traceparent: str | None
    ) -> None:
        deleted = MediaDeleted(media_id=medium.media_id, media_type=medium.media_type, reason=reason)
        await self._outcomes.removed(request_id, medium, deleted, traceparent)
        log.info("media_deleted", media_id=medium.media_id, traceparent=traceparent)
