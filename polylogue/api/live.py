"""Live streams: what one fetch brought for a conversation is joined once and written to every socket by the tail.

An earlier probe, not this code, wrote 200-byte events one at a time to 500 sockets; deliveries per CPU-second: ASGI
`send` from the tail 59–68k, the transport's `write` 84–114k, `write` on the descriptor first 93–126k. What this code
does is measured by `bench sse_fan_out`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Literal, Protocol

from polylogue.api.connection import Connection
from polylogue.api.window import KEEPALIVE, Form, Window

MOST_BEHIND_BYTES = 1024 * 1024  # what a reader's socket has not taken, until it is cut off
# Whoever stops sends its readers off so many at once and not all: they come back to processes that have others.
SENT_OFF_AT_ONCE = 25
SEND_OFF_PAUSE_S = 0.05
SEND_OFF_S = 3.0  # for all of them, however many; the process has ten seconds to end
LINGER_S = 10.0  # for the last bytes to one who does not read them
GONE_S = 60.0  # a socket that takes nothing for so long has nobody behind it
END = b"0\r\n\r\n"
_SLOTS = 4


class Reading(Protocol):
    """What a stream reads: a window that grows, what lies before it, and when it is over."""

    form: Form
    turn_id: str | None

    @property
    def window(self) -> Window: ...
    @property
    def audiences(self) -> Audiences: ...
    @property
    def over(self) -> bool: ...
    def next_piece(self) -> tuple[bytes | None, bool]: ...
    def had_all(self, sequence: int, last_id: str) -> None: ...
    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes: ...


def chunked(data: bytes) -> bytes:
    """As a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Audience:
    """The streams of one source that have had all of its window, in one form and for one turn."""

    __slots__ = ("form", "last_id", "late", "ready", "sequence", "turn_id", "written_at")

    def __init__(self, form: Form, turn_id: str | None, sequence: int) -> None:
        self.form, self.turn_id, self.sequence = form, turn_id, sequence
        self.ready: dict[LiveStream, None] = {}
        self.late: set[LiveStream] = set()
        self.last_id = ""
        self.written_at = 0.0

    def deliver(self, window: Window, *, may_be_over: bool, now: float) -> tuple[int, int]:
        """Writes what is new to everybody; returns the frames and bytes handed over."""
        batch = window.since(self.sequence, self.form, self.turn_id)
        self.sequence = batch.next_sequence
        handed = 0
        if batch.frames and self.ready:
            assert batch.last_id is not None
            data = chunked(batch.data)
            length, write, short = len(data), os.write, []
            for stream in self.ready:
                try:
                    sent = write(stream.descriptor, data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    sent = -1
                if sent != length:
                    short.append((stream, sent))
            handed = len(self.ready)
            self.last_id, self.written_at = batch.last_id, now
            for stream, sent in short:
                stream.fell_behind(data, sent, window.written)
        if may_be_over:
            for stream in list(self.ready):
                stream.end_if_over()
        for stream in list(self.late):
            if window.written - stream.had > MOST_BEHIND_BYTES:
                stream.cut("slow")
        return batch.frames * handed, len(batch.data) * handed


class LiveStream:
    """One reader's socket. It is in its audience while it keeps up, and reads the window by itself while it does not."""

    __slots__ = (
        "_audience",
        "_connection",
        "_ended",
        "_paused",
        "_streams",
        "_transport",
        "descriptor",
        "had",
        "slot",
        "subscription",
        "written_at",
    )

    def __init__(self, subscription: Reading, connection: Connection, streams: LiveStreams) -> None:
        self.subscription, self._connection, self._streams = subscription, connection, streams
        self._transport: asyncio.Transport = connection.transport
        self.descriptor = -1
        self.had = 0  # bytes that the window had been given when the reader fell behind
        self.slot = 0
        self.written_at = streams.clock()
        self._audience: Audience | None = None
        self._paused = self._ended = False

    def start(self) -> None:
        """Begins to write; the head of the answer has been handed to the transport."""
        self._transport = self._connection.taken(self)
        self.descriptor = self._transport.get_extra_info("socket").fileno()
        self.had = self.subscription.window.written
        self._streams.add(self)
        self._paused = self._transport.get_write_buffer_size() > 0
        self._pump()

    def paused(self) -> None:
        self._paused = True

    def resumed(self) -> None:
        self._paused = False
        self._pump()

    def lost(self) -> None:
        self._ended = True
        self._leave()

    def leave(self) -> None:
        """Nothing more is written."""
        if not self._ended:
            self._ended = True
            self._connection.writer = None
        self._leave()

    def fell_behind(self, data: bytes, sent: int, had: int) -> None:
        """The socket took `sent` of the data; fewer than none where it is broken."""
        if sent < 0:
            self._transport.abort()  # which tells us that it is lost
            return
        self._stand_aside()
        self.had = had
        self._transport.write(data[sent:])
        if not self._paused:
            self._pump()

    def cut(self, reason: Literal["slow", "shutdown"]) -> None:
        if self._ended:
            return
        self._stand_aside()
        gap = self.subscription.gap(reason)
        if reason == "shutdown" and self.subscription.form == "events":
            gap = retry_hint() + gap
        self._streams.cut(reason)
        self._finish(chunked(gap))

    def end_if_over(self) -> None:
        audience = self._audience
        if audience is not None:
            self.subscription.had_all(audience.sequence, audience.last_id)
            if self.subscription.over:
                self._finish()

    def keep_alive(self, now: float, quiet_s: float) -> None:
        audience = self._audience
        if audience is None:
            if self._paused and now - self.written_at > GONE_S:
                self._transport.abort()
        elif now - max(self.written_at, audience.written_at) >= quiet_s:
            self._write(chunked(KEEPALIVE[audience.form]))

    def _pump(self) -> None:
        """Writes what lies before the live tail, as fast as the socket takes it."""
        while not (self._paused or self._ended):
            data, over = self.subscription.next_piece()
            if data is not None:
                self._write(chunked(data))
            if over:
                self._finish()
            elif data is None:
                self._join()
                return

    def _join(self) -> None:
        window, subscription = self.subscription.window, self.subscription
        self._audience = self._streams.audience(subscription)
        assert self._audience.sequence == window.end
        self._audience.ready[self] = None
        self._audience.late.discard(self)

    def _stand_aside(self) -> None:
        """Out of the audience, with what it has had."""
        audience = self._audience
        if audience is not None:
            self.subscription.had_all(audience.sequence, audience.last_id)
            del audience.ready[self]
            self._audience = None
            if not self._ended:
                audience.late.add(self)

    def _write(self, data: bytes) -> None:
        self.written_at = self._streams.clock()
        self.had = self.subscription.window.written
        self._transport.write(data)
        if self._paused:
            self._stand_aside()

    def _finish(self, last: bytes = b"") -> None:
        self._ended = True
        self._connection.writer = None
        self._transport.write(last + END)
        self._transport.close()
        # Whoever does not read his last bytes must not hold them for ever.
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)
        self._leave()

    def _leave(self) -> None:
        self._stand_aside()
        self._streams.remove(self)


Audiences = dict[tuple[Form, str | None], Audience]


class LiveStreams:
    """All live streams of a process."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        cut: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.clock, self.cut = clock, cut
        self._slots: deque[set[LiveStream]] = deque(set() for _ in range(_SLOTS))
        self._next = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def add(self, stream: LiveStream) -> None:
        stream.slot = self._next = (self._next + 1) % _SLOTS
        self._slots[stream.slot].add(stream)

    def remove(self, stream: LiveStream) -> None:
        self._slots[stream.slot].discard(stream)
        audiences = stream.subscription.audiences
        for key, audience in list(audiences.items()):
            audience.late.discard(stream)
            if not audience.ready and not audience.late:
                del audiences[key]

    def audience(self, subscription: Reading) -> Audience:
        key = (subscription.form, subscription.turn_id)
        audience = subscription.audiences.get(key)
        if audience is None:
            audience = subscription.audiences[key] = Audience(*key, subscription.window.end)
        return audience

    async def send_off(self) -> None:
        """Tells every stream to come back, some later than others; meanwhile the others are served."""
        streams = [stream for slot in self._slots for stream in slot]
        random.shuffle(streams)
        at_once = max(SENT_OFF_AT_ONCE, ceil(len(streams) * SEND_OFF_PAUSE_S / SEND_OFF_S))
        for first in range(0, len(streams), at_once):
            if first:
                await asyncio.sleep(SEND_OFF_PAUSE_S)
            for stream in streams[first : first + at_once]:
                stream.cut("shutdown")

    def stop(self) -> None:
        for slot in self._slots:
            for stream in list(slot):
                stream.cut("shutdown")

    async def keep_alive(self, every_s: float) -> None:
        """A sign of life on every stream that has been quiet, never later than `every_s` after the last."""
        while True:
            for slot in self._slots:
                await asyncio.sleep(every_s / 2 / _SLOTS)
                now = self.clock()
                for stream in list(slot):
                    stream.keep_alive(now, every_s / 2)


def retry_hint() -> bytes:
    """How long EventSource waits before it comes back, ms: not all at the same moment."""
    return b"retry: %d\n\n" % random.randint(500, 4000)  # noqa: S311 (nobody gains by guessing it)
