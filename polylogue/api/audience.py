"""The streams of one source that have had all of it: what one fetch brought is joined once and written to every socket.

An earlier probe, not this code, wrote 200-byte events one at a time to 500 sockets; deliveries per CPU-second: ASGI
`send` from the tail 59–68k, the transport's `write` 84–114k, `write` on the descriptor first 93–126k. What this code
does is measured by `bench sse_fan_out`.
"""

from __future__ import annotations

import os
from typing import Literal, Protocol

from polylogue.api.window import Form, Window

MOST_BEHIND_BYTES = 1024 * 1024  # what a reader's socket has not taken, until it is cut off


class Listener(Protocol):
    """A stream, as its audience knows it."""

    descriptor: int
    had: int
    """Bytes that the window had been given when the reader fell behind."""

    def fell_behind(self, data: bytes, sent: int, had: int) -> None:
        """The socket took `sent` of the data; fewer than none where it is broken."""

    def end_if_over(self) -> None: ...
    def stand_aside(self) -> None:
        """Out of the audience, with what it has had."""

    def go_on(self) -> None:
        """By itself, until it has all that it is to have."""

    def cut(self, reason: Literal["slow", "shutdown"]) -> None: ...


def chunked(data: bytes) -> bytes:
    """As a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Audience:
    """Those who read in one form and for one turn: `ready` for what comes, or `late` with what has come."""

    __slots__ = ("form", "last_id", "late", "ready", "sequence", "turn_id", "written_at")

    def __init__(self, form: Form, turn_id: str | None, sequence: int) -> None:
        self.form, self.turn_id, self.sequence = form, turn_id, sequence
        self.ready: dict[Listener, None] = {}
        self.late: set[Listener] = set()
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
        if self.late:
            for stream in list(self.late):
                if window.written - stream.had > MOST_BEHIND_BYTES:
                    stream.cut("slow")
        return batch.frames * handed, len(batch.data) * handed

    def part(self, window: Window) -> None:
        """More has come than the turn's end: some are to have no more than that, others wait for a further round.

        Each goes on for itself.
        """
        streams = list(self.ready)
        for stream in streams:
            stream.stand_aside()
        self.sequence = window.end  # for those who come back
        for stream in streams:
            stream.go_on()


Audiences = dict[tuple[Form, str | None], Audience]
