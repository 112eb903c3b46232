"""One reader of all conversations of an owner: what lies after the vector, and then the feed as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

from polylogue.api.hub import REACH_S, Hub, NotReadyError
from polylogue.api.live import Audiences, LiveStreams
from polylogue.api.owner_feed import BRIEF, OwnerFeed
from polylogue.api.subscription import PIECE_BYTES, first_of, gap
from polylogue.api.vector import Stand, Starts, Vector, logs_digest, written
from polylogue.api.window import KEEPALIVE, Encoded, Form, Window, wire

MOST_RECORDS = 200_000  # of everybody, that are read for one who was away; a second or two of reading


class TooFarError(Exception):
    """More has happened since than is read for one reader."""


class OwnerReading:
    form: Form = "events"
    turn_id: str | None = None
    over = False  # new conversations may begin at any time

    def __init__(
        self,
        hub: Hub,
        feed: OwnerFeed,
        *,
        content: bool,
        keepalive_s: float,
        sent: Callable[[int], None] = lambda _frames: None,
    ) -> None:
        self._hub, self._feed, self._content = hub, feed, content
        self._keepalive_s, self._sent = keepalive_s, sent
        self._view = feed.views[content]
        self._backlog: list[Encoded] = []
        self._sequence = 0
        self.last_id = ""
        self._left = False
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._feed.subscribers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.subscribers -= 1
        self._feed.idle_since = self._hub.now()

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
        async for shown in self._hub.owned(self._feed.owner, partition, since.start, to.offset + 1):
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

    @property
    def live(self) -> LiveStreams:
        return self._hub.live

    def next_piece(self) -> tuple[bytes | None, bool]:
        if self._backlog:
            piece = first_of(self._backlog, PIECE_BYTES)
            del self._backlog[: len(piece)]
            self.last_id = piece[-1].id
            self._sent(len(piece))
            return wire(piece, self.form), False
        if self._hub.stopping:
            return self.gap("shutdown"), True
        if self._feed.broken or self._sequence < self.window.base:
            return self.gap("slow"), True
        batch = self.window.since(self._sequence, self.form, None)
        self._sequence = batch.next_sequence
        if batch.last_id is None:
            return None, False
        self.last_id = batch.last_id
        self._sent(batch.frames)
        return batch.data, False

    def had_all(self, sequence: int, last_id: str) -> None:
        # Vectors do not sort as text; an audience that has delivered nothing yet has no id.
        if sequence > self._sequence:
            self.last_id = last_id or self.last_id
        self._sequence = sequence

    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes:
        return gap("", reason, self.last_id, self.form)

    def leave(self) -> None:
        self._left = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        while not self._left:
            data, over = self.next_piece()
            if data is not None:
                yield data
            if over:
                return
            if data is None:
                self._waiter = self._feed.news()
                try:
                    async with asyncio.timeout(self._keepalive_s):
                        await self._waiter
                except TimeoutError:
                    yield KEEPALIVE[self.form]
