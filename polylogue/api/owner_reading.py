"""One reader of all conversations of an owner: what lies after the vector, and then the feed as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from polylogue.api.audience import Audiences
from polylogue.api.hub import REACH_S, Hub, NotReadyError
from polylogue.api.owner_feed import BRIEF, OwnerFeed
from polylogue.api.vector import Stand, Starts, Vector, logs_digest, written
from polylogue.api.window import Window
from polylogue.api.window_reader import WindowReader, gap

MOST_RECORDS = 200_000  # of everybody, that are read for one who was away; a second or two of reading


class TooFarError(Exception):
    """More has happened since than is read for one reader."""


class OwnerReading(WindowReader):
    """Never over: new conversations may begin at any time."""

    __slots__ = ("_content", "_feed", "_view")

    def __init__(
        self,
        hub: Hub,
        feed: OwnerFeed,
        *,
        content: bool,
        keepalive_s: float,
        sent: Callable[[int], None] = lambda _frames: None,
    ) -> None:
        super().__init__(hub, feed, keepalive_s=keepalive_s, sent=sent)
        self._feed, self._content = feed, content
        self._view = feed.views[content]

    async def prepare(self, after: dict[int, Stand] | None) -> None:
        """Reads what lies between the vector and where the feed stands.

        Raises NotReadyError, TooFarError, LogTruncatedError, KafkaError.
        """
        digest = logs_digest(self._hub.log_ids)
        for partition, stand in (after or {}).items():
            # The cursor may be of a process that is ahead of our tail.
            await self._hub.reached(partition, stand.offset)
        await self._until_shown(after or {})
        stands, self._sequence = self._feed.vector(), self._view.window.end
        if after is None:
            self.last_id = written(stands, digest)
            return
        self.last_id = written(after, digest)
        missed = {one: stands[one] for one, stand in after.items() if stand.place < stands[one].place}
        if sum(stands[one].offset - after[one].start for one in missed) > MOST_RECORDS:
            raise TooFarError
        vector = dict(after)
        for partition, stand in missed.items():
            await self._catch_up(partition, stand, vector, digest)

    async def _until_shown(self, vector: Vector) -> None:
        """Records that the tail has brought may still wait for their conversation. Raises NotReadyError."""
        away = "The event log could not be read; try again in a moment."
        try:
            async with asyncio.timeout(REACH_S):
                while not self._feed.broken:
                    stands = self._feed.vector()
                    if all(stand.place <= stands[one].place for one, stand in vector.items()):
                        return
                    await self._feed.news()
        except TimeoutError:
            raise NotReadyError(away) from None
        raise NotReadyError(away)

    async def _catch_up(self, partition: int, to: Stand, vector: dict[int, Stand], digest: bytes) -> None:
        since = vector[partition]
        starts = Starts()
        async for shown in self._hub.past.owned(self._feed.owner, partition, since.start, to.offset + 1):
            before = starts.at(shown.offset)
            starts.changed(shown.conversation_id, shown.offset, shown.unfinished)
            for number, frame in enumerate(shown.frames, start=1):
                if not since.place < frame.place <= to.place:
                    continue
                start = starts.at(shown.offset + 1) if number == len(shown.frames) else before
                vector[partition] = Stand(shown.offset, frame.place.frame, start)
                if self._content or frame.type in BRIEF:
                    self._backlog.append(frame._replace(id=written(vector, digest)))
        vector[partition] = to

    @property
    def window(self) -> Window:
        return self._view.window

    @property
    def audiences(self) -> Audiences:
        return self._view.audiences

    def _too_slow(self) -> bool:
        return self._feed.broken or super()._too_slow()

    def had_all(self, sequence: int, last_id: str) -> None:
        # Vectors do not sort as text; an audience that has delivered nothing yet has no id.
        if sequence > self._sequence:
            self.last_id = last_id or self.last_id
        self._sequence = sequence

    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes:
        return gap("", reason, self.last_id, self.form)
