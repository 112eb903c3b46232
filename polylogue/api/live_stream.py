"""One reader's socket: written to with its audience while it keeps up, and by itself while it does not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal, Protocol

from polylogue.api.audience import Audience, Audiences, chunked
from polylogue.api.connection import Connection, Heir
from polylogue.api.ending import Ending
from polylogue.api.window import KEEPALIVE, Form, Window

LINGER_S = 10.0  # for the last bytes to one who does not read them
GONE_S = 60.0  # a socket that takes nothing for so long has nobody behind it
END = b"0\r\n\r\n"


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


class Streams(Protocol):
    """All of a process, as one of them knows them."""

    clock: Callable[[], float]
    cut: Callable[[str], None]

    def add(self, stream: LiveStream) -> None: ...
    def remove(self, stream: LiveStream) -> None: ...
    def audience(self, subscription: Reading) -> Audience: ...


class LiveStream(Heir):
    """It has its connection for itself: no task and nothing of the request lives as long as it does."""

    __slots__ = (
        "_audience",
        "_connections",
        "_ended",
        "_ending",
        "_paused",
        "_streams",
        "_transport",
        "descriptor",
        "had",
        "slot",
        "subscription",
        "written_at",
    )
    _transport: asyncio.Transport

    def __init__(self, subscription: Reading, streams: Streams, ending: Ending) -> None:
        self.subscription, self._streams, self._ending = subscription, streams, ending
        self.descriptor = -1
        self.had = 0
        self.slot = 0
        self.written_at = streams.clock()
        self._audience: Audience | None = None
        self._paused = self._ended = False

    def start(self, connection: Connection, first: bytes = b"") -> bool:
        """Begins to write, `first` first; the head of the answer has been handed to the transport.

        Returns whether there was a socket. `ending` is run when it is closed.
        """
        connections, transport = connection.connections, connection.hand_over(self)
        if transport is None:
            return False
        self._ending.kept = True
        self._connections: set[Any] = connections
        self._transport = transport
        self.descriptor = transport.get_extra_info("socket").fileno()
        self.had = self.subscription.window.written
        self._streams.add(self)
        self._paused = self._paused or transport.get_write_buffer_size() > 0
        self._pump(first)
        return True

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        # Before the socket is closed: its number may be another connection's a moment later.
        self._ended = True
        self._leave()
        self._connections.discard(self)
        self._ending.run()

    def end(self) -> None:
        """As if the reader had left."""
        if not self._ended:
            self._finish()

    def fell_behind(self, data: bytes, sent: int, had: int) -> None:
        if sent < 0:
            self._transport.abort()  # which tells us that it is lost
            return
        self.stand_aside()
        self.had = had
        self._transport.write(data[sent:])
        self.go_on()

    def cut(self, reason: Literal["slow", "shutdown"]) -> None:
        if self._ended:
            return
        self.stand_aside()
        if self.subscription.over:  # it was slow to take its last bytes, and has lost nothing
            self._finish()
            return
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

    def go_on(self) -> None:
        if not (self._paused or self._ended):
            self._pump()

    def _pump(self, first: bytes = b"") -> None:
        """Writes what lies before the live tail, as fast as the socket takes it."""
        while first or not (self._paused or self._ended):
            data, over = self.subscription.next_piece()
            if first or data is not None:
                self._write(chunked(first + (data or b"")))
                first = b""
            if over:
                self._finish()
            elif data is None and not self._paused:
                self._join()
                return

    def _join(self) -> None:
        window, subscription = self.subscription.window, self.subscription
        self._audience = self._streams.audience(subscription)
        assert self._audience.sequence == window.end
        self._audience.ready[self] = None
        self._audience.late.discard(self)

    def stand_aside(self) -> None:
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
            self.stand_aside()

    def _finish(self, last: bytes = b"") -> None:
        self._ended = True
        self._transport.write(last + END)
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # Whoever does not read his last bytes must not hold them for ever.
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)
        self._leave()

    def _leave(self) -> None:
        self.stand_aside()
        self._streams.remove(self)


def retry_hint() -> bytes:
    """How long EventSource waits before it comes back, ms: not all at the same moment."""
    return b"retry: %d\n\n" % random.randint(500, 4000)  # noqa: S311 (nobody gains by guessing it)
