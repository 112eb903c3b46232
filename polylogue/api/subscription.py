"""One reader of a conversation: first what lies before the window, then the window as it grows, to the turn's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

from polylogue.api.channel import Channel
from polylogue.api.cursor import Cursor, Place, before
from polylogue.api.hub import Hub
from polylogue.api.live import Audiences, LiveStreams
from polylogue.api.window import KEEPALIVE, Batch, Encoded, Form, Window, concerns, encode, wire
from polylogue.schemas.frames import GapFrame

PIECE_BYTES = 64 * 1024  # about what a socket takes at once


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
        self._hub, self._channel, self.form = hub, channel, form
        self.turn_id, self._turn_floor, self._turn_round = turn_id, turn_floor, turn_round
        self._place = after.place if after else Place.before(start)
        self._start = after.start if after else start
        log_id = hub.log_ids.get(channel.partition, "0" * 8)
        self.last_id = str(after or before(log_id, channel.partition, start))
        self._backlog: list[Encoded] = []
        self._sequence = 0
        self._keepalive_s = keepalive_s
        self._sent = sent
        self._left = False
        self.read_log = False  # what it begins with was not in the window
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
            self.read_log = True
            frames = await self._hub.backfill(self._channel, min(self._start, floor.offset), floor.offset + 1)
            self._backlog += [
                frame
                for frame in frames
                if self._place < frame.place <= floor and concerns(frame, self.turn_id)
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
            self.turn_id is not None
            and not self._backlog
            and not self._news().frames
            and (
                self._channel.turn_finished(self.turn_id, self._turn_floor, self._turn_round)
                # A prompt that crossed the deletion of its conversation is never begun.
                or (self._channel.state.deleted and self.turn_id not in self._channel.state.turns)
            )
        )

    def leave(self) -> None:
        """The reader has gone: `chunks` ends."""
        self._left = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def window(self) -> Window:
        return self._channel.window

    @property
    def live(self) -> LiveStreams:
        return self._hub.live

    @property
    def audiences(self) -> Audiences:
        return self._channel.audiences

    def next_piece(self) -> tuple[bytes | None, bool]:
        """What the reader has not had yet, up to some size, and whether it is the last; nothing where there is none."""
        if self._backlog:
            piece = first_of(self._backlog, PIECE_BYTES)
            del self._backlog[: len(piece)]
            self.last_id = piece[-1].id
            self._sent(len(piece))
            return wire(piece, self.form), False
        if self._hub.stopping:
            return self.gap("shutdown"), True
        if self._sequence < self._channel.window.base:
            return self.gap("slow"), True
        batch = self._news()
        self._sequence = batch.next_sequence
        if batch.last_id is None:
            return None, self.over
        self.last_id = batch.last_id
        self._sent(batch.frames)
        return batch.data, False

    def had_all(self, sequence: int, last_id: str) -> None:
        """Somebody else has given the reader the window up to `sequence`."""
        self._sequence, self.last_id = sequence, max(self.last_id, last_id)

    async def chunks(self) -> AsyncIterator[bytes]:
        """For whoever pulls: waits for what is new, and for a sign of life where nothing is."""
        while not self._left:
            data, over = self.next_piece()
            if data is not None:
                yield data
            if over:
                return
            if data is not None:
                continue  # more may have come while the bytes went out
            try:
                self._waiter = self._channel.news()
                async with asyncio.timeout(self._keepalive_s):
                    await self._waiter
            except TimeoutError:
                yield KEEPALIVE[self.form]

    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes:
        return gap(self._channel.conversation_id, reason, self.last_id, self.form, turn_id=self.turn_id)

    def _news(self) -> Batch:
        return self._channel.window.since(self._sequence, self.form, self.turn_id)


def first_of(frames: list[Encoded], most_bytes: int) -> list[Encoded]:
    """As many as fit, and one at least."""
    size = 0
    for number, frame in enumerate(frames):
        size += len(frame.json)
        if number and size > most_bytes:
            return frames[:number]
    return list(frames)


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
