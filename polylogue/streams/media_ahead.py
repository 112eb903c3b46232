"""Reads media, and sends their parts to S3, while their segments are still being written and nobody has claimed them.

A hint of the runner's begins it. Nothing of it shows anywhere: whether there is such a medium is known by its claim, which
takes what is here for its own. Whoever finds nothing here reads the log as if there had been no hint.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress

from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.parts import part_bytes
from polylogue.media.spool import Spool
from polylogue.media.store import SINGLE_PUT_BYTES, ObjectStore
from polylogue.schemas.claims import PrepareMedia, SegmentRange
from polylogue.schemas.clock import now_ms
from polylogue.schemas.envelope import Request
from polylogue.streams.segment_reader import SILENCE_S, SegmentCollector, SegmentReader, Spooled

AT_ONCE = 4  # each holds a file and a connection to Kafka
TOO_OLD_MS = 30_000  # a hint that is read again after a restart: its claim has come, or never will
LIKELY_BYTES = 3 * 1024 * 1024  # whoever has so many has mostly enough for parts
WHOLE_WITHIN_S = 5.0  # then the log is read as if nothing had been prepared
WITHOUT_END = 2**62

log = get_logger(__name__)


class MediumAhead:
    """One medium, as far as it is in the log."""

    def __init__(
        self,
        hint: PrepareMedia,
        reader: SegmentReader,
        store: ObjectStore,
        *,
        max_bytes: int,
        deadline: float,
    ) -> None:
        self._hint = hint
        self._reader = reader
        unknown = SegmentRange(
            partition=hint.partition,
            first_offset=hint.first_offset,
            last_offset=WITHOUT_END,
            count=WITHOUT_END,
            size_bytes=max_bytes,
            sha256="",
        )
        self._collected = SegmentCollector(hint.media_id, unknown, Spool(part_bytes(None)))
        self._moved = asyncio.Event()
        self._size_bytes: int | None = None
        self._closing = False
        self.upload = store.begin_growing(
            hint.key, self._collected.spool, hint.content_type, deadline=deadline
        )
        if (hint.so_far_bytes or 0) >= LIKELY_BYTES:
            self.upload.expected()
        self.task = asyncio.create_task(self._follow(), name=f"prepare-{hint.media_id}")

    def ends_at(self, size_bytes: int) -> None:
        """So long the medium will be: its last part need not wait for the claim. Nobody may say otherwise later."""
        if self._size_bytes not in {None, size_bytes}:
            return
        self._size_bytes = size_bytes
        if size_bytes >= SINGLE_PUT_BYTES:
            self.upload.ends_at(size_bytes)
            self._send()
        else:
            self.upload.give_up()  # it is put in one request

    async def whole(self, segments: SegmentRange) -> Spooled | None:
        """All of the medium, whose last part is on its way then, or None: then the log must be read, and nothing of this
        stays. To be asked once. Whoever gets it closes it, and gives the upload up or completes it."""
        try:
            there = self._hinted(segments) and await self._until_whole(segments)
        except BaseException:
            self.give_up()
            raise
        if not there:
            self.give_up()
            return None
        # Nobody waits until the connection to Kafka is closed: the spool is not written to any more.
        self.stop()
        self.ends_at(segments.size_bytes)
        return self._collected.result()

    def stop(self) -> None:
        """Reads no more; `task` is done when the connection is closed, which nothing must break off. Again is fine."""
        if not self._closing:
            self._closing = True
            self.task.cancel()

    def give_up(self) -> asyncio.Future[None] | None:
        """Nothing of it stays, at the latest when what this returns is done. Again is fine."""
        self.stop()
        self._collected.spool.close()
        return self.upload.give_up()

    def _hinted(self, segments: SegmentRange) -> bool:
        hint = self._hint
        return (segments.partition, segments.first_offset) == (hint.partition, hint.first_offset) and (
            self._size_bytes in (None, segments.size_bytes)
        )

    def _send(self) -> None:
        size_bytes = self._collected.spool.size_bytes
        if size_bytes >= SINGLE_PUT_BYTES:
            self.upload.grown(size_bytes)
        elif size_bytes >= LIKELY_BYTES or self._size_bytes is not None:
            self.upload.expected()

    async def _until_whole(self, segments: SegmentRange) -> bool:
        """Whether it is, and nobody adds to it any more."""
        self._collected.known(segments)
        with suppress(TimeoutError):
            async with asyncio.timeout(WHOLE_WITHIN_S):
                while not (self._is_there or self.task.done()):
                    self._moved.clear()
                    await self._moved.wait()
        return self._is_there

    @property
    def _is_there(self) -> bool:
        return self._collected.whole and not self._collected.adding

    async def _follow(self) -> None:
        had, since = 0, time.monotonic()
        try:
            async with aclosing(self._reader.follow(self._hint.first_offset, self._collected)) as growing:
                async for _ in growing:
                    self._send()
                    crash_point("agent.preparing")
                    self._moved.set()
                    size, now = self._collected.spool.size_bytes, time.monotonic()
                    if size > had:
                        had, since = size, now
                    # Others' segments may come on and on.
                    if self._collected.ended or self._collected.whole or now - since >= SILENCE_S:
                        self._closing = True
                        return
        except (KafkaError, OSError) as error:
            log.info("media_not_prepared", media_id=self._hint.media_id, error=type(error).__name__)
        finally:
            self._moved.set()


class MediaAhead:
    """All that is prepared in this process."""

    def __init__(self, settings: Settings, reader: SegmentReader, store: ObjectStore) -> None:
        self._max_bytes = settings.media_max_size_mb * 1024 * 1024
        self._deadline_s = settings.media_deadline_s
        self._reader = reader
        self._store = store
        self._under_way: dict[str, MediumAhead] = {}
        self._reading: set[MediumAhead] = (
            set()
        )  # also those that were claimed, until their connection is closed

    async def prepare(self, request: Request) -> None:
        """Begins, and returns. A hint too many is passed over."""
        hint = request.data
        assert isinstance(hint, PrepareMedia)
        medium = self._under_way.get(hint.media_id) or self._begin(hint)
        if medium is not None and hint.size_bytes is not None:
            medium.ends_at(hint.size_bytes)

    def _begin(self, hint: PrepareMedia) -> MediumAhead | None:
        if len(self._under_way) >= AT_ONCE or now_ms() - hint.begun_at_ms > TOO_OLD_MS:
            return None
        deadline = time.monotonic() + self._deadline_s
        try:
            medium = MediumAhead(
                hint, self._reader, self._store, max_bytes=self._max_bytes, deadline=deadline
            )
        except OSError as error:  # no room for a file: the claim waits for it, a hint does not
            log.warning("media_not_prepared", media_id=hint.media_id, error=type(error).__name__)
            return None
        self._under_way[hint.media_id] = medium
        self._reading.add(medium)
        medium.task.add_done_callback(lambda _: self._ended(hint.media_id, medium))
        return medium

    def take(self, media_id: str) -> MediumAhead | None:
        """What is prepared of a medium that was claimed."""
        return self._under_way.pop(media_id, None)

    async def close(self) -> None:
        under_way, self._under_way = list(self._under_way.values()), {}
        aborts = [abort for medium in under_way if (abort := medium.give_up()) is not None]
        reading = list(self._reading)
        for medium in reading:
            medium.stop()
        await asyncio.gather(*(medium.task for medium in reading), *aborts, return_exceptions=True)

    def _ended(self, media_id: str, medium: MediumAhead) -> None:
        """Where nobody has claimed it, nothing came any more, or too much."""
        self._reading.discard(medium)
        if self._under_way.get(media_id) is medium:
            del self._under_way[media_id]
            medium.give_up()
