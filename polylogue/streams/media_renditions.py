"""Makes a stored medium's smaller versions and says where they are; that they fail never harms the medium."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Callable
from functools import partial

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.media.keys import rendition_key
from polylogue.media.store import Conflict, ObjectStore, Upload
from polylogue.media.validation import ValidationPool
from polylogue.media.verdicts import MadeRendition
from polylogue.schemas.events import MediaRenditionsStored, MediaStored, Rendition
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_work import Afterwards, Settled, Work

LIMIT_S = 60.0  # making and storing them; the claim is acknowledged when they are there

log = get_logger(__name__)


class MediaRenditions:
    def __init__(
        self,
        pool: ValidationPool,
        store: ObjectStore,
        outcomes: MediaOutcomes,
        *,
        limit_s: float = LIMIT_S,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._store = store
        self._outcomes = outcomes
        self._limit_s = limit_s
        self._progress = progress
        self._under_way: dict[str, set[asyncio.Future[None]]] = {}  # by conversation

    def of(self, work: Work, settled: Settled) -> Afterwards | None:
        """Those of what has just been stored and told. Closing it closes what was settled; running it raises
        ProducerUnusableError."""
        if settled.spool is None or settled.facts is None or not isinstance(settled.outcome, MediaStored):
            return None
        conversation_id = work.claim.conversation_id
        over = asyncio.get_running_loop().create_future()
        self._under_way.setdefault(conversation_id, set()).add(over)

        def close() -> None:
            settled.close()
            if not over.done():
                over.set_result(None)
            others = self._under_way.get(conversation_id, set())
            others.discard(over)
            if not others:
                self._under_way.pop(conversation_id, None)

        return Afterwards(partial(self._follow, work, settled, settled.outcome), close)

    async def ended(self, conversation_id: str) -> None:
        """Returns when none of the conversation's are being made here: what comes later would outlive a deletion."""
        if under_way := self._under_way.get(conversation_id):
            await asyncio.wait(under_way.copy())

    async def _follow(self, work: Work, settled: Settled, stored: MediaStored) -> None:
        self._progress()
        renditions = await self._made(work, settled)
        if not renditions:
            return
        crash_point("agent.renditions_before_emit")
        told = MediaRenditionsStored(
            media_id=work.claim.media_id, media_type=stored.media_type, renditions=renditions
        )
        await self._outcomes.noted(work, told)
        crash_point("agent.renditions_after_emit")

    async def _made(self, work: Work, settled: Settled) -> tuple[Rendition, ...]:
        assert settled.spool is not None
        assert settled.facts is not None
        stored: list[Rendition] = []
        try:
            async with asyncio.timeout(self._limit_s):
                for made in await self._pool.renditions(settled.spool.file, settled.facts):
                    stored.append(await self._put(work.claim.key, made))
                    crash_point("agent.rendition_stored")
        except Exception as error:  # noqa: BLE001 (the medium is stored; without its smaller versions it is shown as it is)
            log.warning("renditions_missing", media_id=work.claim.media_id, error=type(error).__name__)
        return tuple(stored)

    async def _put(self, original: str, made: MadeRendition) -> Rendition:
        """Another attempt's stays where it is: readers may have its size already."""
        key, size_bytes = rendition_key(original, made.name), len(made.data)
        sha256 = hashlib.sha256(made.data).hexdigest()
        upload = Upload(io.BytesIO(made.data), size_bytes, sha256, made.content_type)
        done = await self._store.put(key, upload, deadline=time.monotonic() + self._limit_s)
        return Rendition(
            name=made.name,
            key=key,
            content_type=made.content_type,
            size_bytes=done.head.size_bytes if isinstance(done, Conflict) else size_bytes,
            width=made.width,
            height=made.height,
        )
