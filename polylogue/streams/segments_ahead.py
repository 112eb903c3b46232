"""Writes a medium's segments while the gateway still sends it, before it is known whether it is a medium at all.

Nothing refers to segments but a claim, so those of a medium that is refused, repeated or broken off lie there for
nothing until retention removes them. A medium takes them for its own only where their bytes are its first ones.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable

from polylogue.infra.logs import get_logger
from polylogue.schemas.claims import SegmentRange
from polylogue.streams.gateway.events import MediaBytes
from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.segment_series import SEGMENT_BYTES, SegmentSeries, segment_of, segments_in

WAITING = 3  # segments of one medium; the gateway is not read on while so many wait
ROOM_WITHIN_S = 2.0  # a broker that is away must not keep the gateway waiting
HEAD_BYTES = 8192  # what its type is told by
ANNOUNCED_SEGMENTS = 2  # smaller media are stored as quickly without
WAITING_IN_ALL = 16  # of all media of a runner; beyond it they are written when they are whole
ON_THE_LOOP_BYTES = 1024 * 1024  # hashed within a millisecond

_log = get_logger(__name__)


Announce = Callable[[SegmentSeries, bytes, int, int | None], None]
"""Is told of a medium that has become large: its series, its first bytes, how many have come, and its size as soon as that
is known."""


class Held:
    """What all media of a runner hold in memory of segments that are not written yet."""

    def __init__(self) -> None:
        self.segments = 0

    @property
    def full(self) -> bool:
        return self.segments >= WAITING_IN_ALL


class Begun:
    """The segments of one medium, as far as it has come."""

    def __init__(self, series: SegmentSeries, prefix: Prefix, held: Held, announce: Announce) -> None:
        """`prefix` is all that has come of it: these segments and less than another one."""
        self.media_id = series.media_id
        self.size_bytes = 0  # of whole segments; what comes after them is not here
        self._prefix = prefix
        self._series = series
        self._held = held
        self._announce = announce
        self._found = False  # a segment is in the log, so it is known where they begin
        self._announced = False
        self._head = b""
        self._waiting: deque[bytes] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._broken = False  # some segment may be missing

    def add(self, segment: bytes) -> None:
        """Never waits."""
        self._head = self._head or segment[:HEAD_BYTES]
        self.size_bytes += len(segment)
        self._waiting.append(segment)
        self._held.segments += 1
        self._announce_large()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name=f"ahead-{self.media_id}")
            self._writing.add_done_callback(_look_at)

    async def room(self) -> bool:
        """Returns when more may be added; false where that takes too long."""
        try:
            async with asyncio.timeout(ROOM_WITHIN_S):
                while not self._broken and len(self._waiting) >= WAITING:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            return False
        return not self._broken

    async def is_start_of(self, medium: MediaBytes) -> bool:
        size = self._prefix.size_bytes
        if self._broken or len(medium.data) < size or not medium.data.startswith(self._head):
            return False
        rest = memoryview(medium.data)[size:]
        if len(rest) > ON_THE_LOOP_BYTES:
            return await asyncio.to_thread(self._prefix.followed_by, rest) == medium.sha256
        return self._prefix.followed_by(rest) == medium.sha256

    async def finish(self, medium: MediaBytes) -> SegmentRange:
        """Writes the rest of the medium that this is the start of."""
        if self._announced:
            size = len(medium.data)
            self._announce(self._series, self._head, size, size)
        try:
            if self._writing is not None:
                await self._writing
        except BaseException:
            self.give_up()
            raise
        rest = memoryview(medium.data)[self.size_bytes :]
        count = segments_in(len(rest))
        if count:
            await self._series.write(count, lambda number: segment_of(rest, number))
        return self._series.whole(len(medium.data), medium.sha256)

    def give_up(self) -> None:
        """Writes no more of it. Again is fine."""
        self._break_off()
        if self._writing is not None:
            self._writing.cancel()

    def _announce_large(self) -> None:
        if self._found and not self._announced and self.size_bytes >= ANNOUNCED_SEGMENTS * SEGMENT_BYTES:
            self._announced = True
            self._announce(self._series, self._head, self._prefix.size_bytes, None)

    def _break_off(self) -> None:
        self._broken = True
        self._written(len(self._waiting))
        self._room.set()

    def _written(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self._held.segments -= count

    async def _write(self) -> None:
        try:
            while self._waiting:
                # Left where they are until they are written, so that they count as held.
                segments = tuple(self._waiting)
                await self._series.write(len(segments), segments.__getitem__)
                self._written(len(segments))
                self._room.set()
                self._found = True
                self._announce_large()
        except BaseException:
            self._break_off()
            raise


class SegmentsAhead:
    """The media of one attempt of a response, one at a time. See `line_ahead.EarlyTaker`."""

    def __init__(
        self,
        series: Callable[[], SegmentSeries],
        held: Held,
        *,
        wanted: Callable[[], bool],
        announce: Announce,
        max_bytes: int,
    ) -> None:
        """`series` makes one under an id that no medium has had; `wanted` says whether another medium may come."""
        self._series = series
        self._held = held
        self._wanted = wanted
        self._announce = announce
        self._max_bytes = max_bytes
        self._rest = bytearray()  # shorter than a segment
        self._prefix = Prefix()
        self._begun: Begun | None = None
        self._starts: set[bytes] = set()

    def begin(self, prefix: Prefix) -> bool:
        self.close()
        self._prefix = prefix
        return self._wanted()

    async def add(self, data: bytes) -> bool:
        self._rest += data
        while len(self._rest) >= SEGMENT_BYTES:
            with memoryview(self._rest) as rest:  # a slice of the array itself would be copied twice
                segment = bytes(rest[:SEGMENT_BYTES])
            del self._rest[:SEGMENT_BYTES]
            if self._begun is None:
                # Gateways repeat a picture at the end of an answer.
                start = hashlib.sha256(segment).digest()
                if start in self._starts:
                    return False
                self._starts.add(start)
                self._begun = Begun(self._series(), self._prefix, self._held, self._announce)
            self._begun.add(segment)
        begun = self._begun
        if begun is None:
            return True
        if begun.size_bytes <= self._max_bytes and not self._held.full and await begun.room():
            return True
        _log.info("segments_ahead_given_up", media_id=begun.media_id, size_bytes=begun.size_bytes)
        self.close()
        return False

    async def taken(self, medium: MediaBytes) -> Begun | None:
        """What is there of a medium already, for the caller to finish."""
        begun = self._begun
        if begun is None or not await begun.is_start_of(medium):
            return None
        self._begun = None
        self._rest.clear()
        return begun

    def close(self) -> None:
        """Again is fine."""
        self._rest.clear()
        if self._begun is not None:
            self._begun.give_up()
            self._begun = None


def _look_at(writing: asyncio.Task[None]) -> None:
    """Nobody waits for it where the medium is none; what went wrong with it is of no interest then."""
    if not writing.cancelled():
        writing.exception()
