"""One reader of a conversation: first what lies before the window, then the window as it grows, to the turn's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

from polylogue.api.channel import Channel
from polylogue.api.cursor import Cursor, Place, before
from polylogue.api.hub import Hub
from polylogue.api.window import Batch, Encoded, Form, concerns, encode, wire
from polylogue.schemas.frames import GapFrame, KeepaliveFrame, encode_frame

KEEPALIVE: dict[Form, bytes] = {
    "data": b"data: " + encode_frame(KeepaliveFrame()) + b"\n\n",
    "events": b"event: keepalive\ndata: " + encode_frame(KeepaliveFrame()) + b"\n\n",
}


class Subscription:
    """Use as a context manager, `prepare`, then iterate `chunks`: each is what goes into one write.

    A subscriber is a number in the shared window: a slow one holds nothing but its place, and is cut off with a cursor
    once the window has moved past it.
    """

    def __init__(
        self,
        hub: Hub,
        channel: Channel,
        *,
        form: Form,
        after: Cursor | None = None,
        start: int = 0,
        turn_id: str | None = None,
        turn_floor: int | None = None,
        turn_round: int = 1,
        keepalive_s: float = 15.0,
        sent: Callable[[int], None] = lambda _frames: None,
    ) -> None:
        """`start`: where to begin without a cursor. `turn_round`: the last round of the turn that is known to have been
        asked for, `turn_floor`: a lower bound of its start, where known."""
        self._hub, self._channel, self._form = hub, channel, form
        self._turn_id, self._turn_floor, self._turn_round = turn_id, turn_floor, turn_round
        self._place = after.place if after else Place.before(start)
        self._start = after.start if after else start
        log_id = hub.log_ids.get(channel.partition, "0" * 8)
        self.last_id = str(after or before(log_id, channel.partition, start))
        self._backlog: list[Encoded] = []
        self._sequence = 0
        self._keepalive_s = keepalive_s
        self._sent = sent
        self._left = False
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._channel.subscribers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.subscribers -= 1
        self._channel.idle_since = self._hub.now()

    async def prepare(self) -> None:
        """Reads what lies between the cursor and the window.

        Raises NotReadyError, LogTruncatedError, KafkaError.
        """
        # A cursor from another process may be ahead of our tail.
        await self._hub.reached(self._channel.partition, self._place.offset)
        # The window may move on while we read.
        while self._place < (floor := self._channel.window.floor):
            frames = await self._hub.backfill(self._channel, min(self._start, floor.offset), floor.offset + 1)
            self._backlog += [
                frame
                for frame in frames
                if self._place < frame.place <= floor and concerns(frame, self._turn_id)
            ]
            self._place = floor
        self._sequence = self._channel.window.sequence_after(self._place)

    def begin_with(self, frames: list[Encoded], at: Cursor, sequence: int) -> None:
        """Instead of `prepare`: a snapshot that stands for `at`, and then what the window has from `sequence` on."""
        self._backlog, self._sequence = list(frames), sequence
        self._place, self._start, self.last_id = at.place, at.start, str(at)

    @property
    def over(self) -> bool:
        """Whether the turn has ended and nothing of it lies after the cursor."""
        return (
            self._turn_id is not None
            and not self._backlog
            and not self._news().frames
            and (
                self._channel.turn_finished(self._turn_id, self._turn_floor, self._turn_round)
                # A prompt that crossed the deletion of its conversation is never begun.
                or (self._channel.state.deleted and self._turn_id not in self._channel.state.turns)
            )
        )

    def leave(self) -> None:
        """The reader has gone: `chunks` ends."""
        self._left = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._backlog:
            backlog, self._backlog = self._backlog, []
            self.last_id = backlog[-1].id
            self._sent(len(backlog))
            yield wire(backlog, self._form)
        while not self._left:
            if self._hub.stopping:
                yield self._gap("shutdown")
                return
            if self._sequence < self._channel.window.base:
                yield self._gap("slow")
                return
            batch = self._news()
            self._sequence = batch.next_sequence
            if batch.last_id is not None:
                self.last_id = batch.last_id
                self._sent(batch.frames)
                yield batch.data
                continue  # more may have come while the bytes went out
            if self.over:
                return
            try:
                self._waiter = self._channel.news()
                async with asyncio.timeout(self._keepalive_s):
                    await self._waiter
            except TimeoutError:
                yield KEEPALIVE[self._form]

    def _news(self) -> Batch:
        return self._channel.window.since(self._sequence, self._form, self._turn_id)

    def _gap(self, reason: Literal["slow", "shutdown"]) -> bytes:
        return gap(self._channel.conversation_id, reason, self.last_id, self._form, turn_id=self._turn_id)


def gap(
    conversation_id: str,
    reason: Literal["retention", "slow", "shutdown"],
    resume_from: str,
    form: Form,
    *,
    turn_id: str | None = None,
) -> bytes:
    """The frame that tells a reader that the stream ends here, and where to go on."""
    frame = GapFrame(
        id=resume_from,
        conversation_id=conversation_id,
        turn_id=turn_id,
        reason=reason,
        resume_from=resume_from,
    )
    return wire([encode(frame, Place(0, 0))], form)
