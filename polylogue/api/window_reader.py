"""What every reader of a window does alike: it is given pieces, waits for more, is sent off with a cursor, and leaves."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Literal, Protocol, Self

from polylogue.api.audience import Audiences
from polylogue.api.cursor import Place
from polylogue.api.hub import Hub
from polylogue.api.live import LiveStreams
from polylogue.api.window import KEEPALIVE, Batch, Encoded, Form, Window, encode, wire
from polylogue.schemas.frames import GapFrame

PIECE_BYTES = 64 * 1024  # about what a socket takes at once


class Source(Protocol):
    """What grows: a conversation's channel, or an owner's feed."""

    subscribers: int
    idle_since: float

    def news(self) -> asyncio.Future[None]: ...


class WindowReader(ABC):
    """Use as a context manager, `prepare`, then iterate `chunks`: each is what goes into one write.

    A reader is a number in the shared window: a slow one holds nothing but its place, and is cut off with a cursor once
    the window has moved past it.
    """

    # There are many, and most of them only wait.
    __slots__ = (
        "_backlog",
        "_hub",
        "_keepalive_s",
        "_left",
        "_sent",
        "_sequence",
        "_source",
        "_waiter",
        "form",
        "last_id",
        "turn_id",
    )

    def __init__(
        self,
        hub: Hub,
        source: Source,
        *,
        keepalive_s: float,
        sent: Callable[[int], None],
        form: Form = "events",
        turn_id: str | None = None,
    ) -> None:
        self._hub, self._source = hub, source
        self.form, self.turn_id, self.last_id = form, turn_id, ""
        self._keepalive_s, self._sent = keepalive_s, sent
        self._backlog: list[Encoded] = []
        self._sequence = 0
        self._left = False
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._source.subscribers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._source.subscribers -= 1
        self._source.idle_since = self._hub.now()

    @property
    @abstractmethod
    def window(self) -> Window: ...

    @property
    @abstractmethod
    def audiences(self) -> Audiences: ...

    @abstractmethod
    def had_all(self, sequence: int, last_id: str) -> None:
        """Somebody else has given the reader the window up to `sequence`."""

    @abstractmethod
    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes: ...

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return False

    @property
    def live(self) -> LiveStreams:
        return self._hub.live

    def next_piece(self) -> tuple[bytes | None, bool]:
        """What the reader has not had yet, up to some size, and whether it is the last; nothing where there is none."""
        if self._backlog:
            piece = first_of(self._backlog, PIECE_BYTES)
            del self._backlog[: len(piece)]
            self.last_id = piece[-1].id
            self._sent(len(piece))
            return wire(piece, self.form), False
        if self._hub.stopping or self._too_slow():
            if self.over:  # it has all, and misses nothing
                return None, True
            return self.gap("shutdown" if self._hub.stopping else "slow"), True
        batch = self._news()
        self._sequence = batch.next_sequence
        if batch.last_id is None:
            return None, self.over
        self.last_id = batch.last_id
        self._sent(batch.frames)
        return batch.data, False

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
                self._waiter = self._source.news()
                async with asyncio.timeout(self._keepalive_s):
                    await self._waiter
            except TimeoutError:
                yield KEEPALIVE[self.form]

    def leave(self) -> None:
        """The reader has gone: `chunks` ends."""
        self._left = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _too_slow(self) -> bool:
        return self._sequence < self.window.base

    def _news(self) -> Batch:
        return self.window.since(self._sequence, self.form, self.turn_id)


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
