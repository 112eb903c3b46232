"""One conversation as this process sees it: the reducer's state, the window of frames, and who waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from polylogue.api.audience import Audiences
from polylogue.api.cursor import Cursor, Place
from polylogue.api.framing import UrlFor, frames_of
from polylogue.api.owner_feed import OwnerFeed
from polylogue.api.snapshot import Contents
from polylogue.api.window import Encoded, Window, encode
from polylogue.schemas.codec import Garbage, NewerVersion, UnknownType, event_codec
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.visibility import admit

MOST_FRAMES = 4096
MOST_BYTES = 4 * 1024 * 1024

Skipped = Callable[[str], None]
"""Told the reason each time a record is skipped."""


class Record(Protocol):
    """What is used of a Kafka record."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Reduction:
    """Records of one conversation, in order, → encoded frames."""

    def __init__(
        self,
        log_id: str,
        partition: int,
        url_for: UrlFor,
        skipped: Skipped,
        contents: Contents | None = None,
    ) -> None:
        self.state = ConversationState()
        self.contents = contents
        self.owner: str | None = None  # as the records say
        self._log_id, self._partition = log_id, partition
        self._url_for, self._skipped = url_for, skipped

    def frames(self, record: Record) -> list[Encoded]:
        """Skips and counts what this version cannot read, so that one bad record stops nobody's stream."""
        event = event_codec.decode(record.value)
        match event:
            case Garbage():
                self._skipped("garbage")
                return []
            case UnknownType():
                self._skipped("unknown_type")
                return []
            case NewerVersion():
                self._skipped("newer_version")
                return []
        offset = record.offset
        self.owner = event.owner_id
        try:
            verdict = admit(self.state, event, offset)
        except ValueError:  # a time that is no time: well-formed JSON, and yet no event
            self._skipped("garbage")
            return []
        start = self.state.start_offset(otherwise=offset)

        def cursor_for(number: int) -> str:
            return str(Cursor(self._log_id, self._partition, offset, number, start))

        made = frames_of(self.state, event, verdict, cursor_for, self._url_for)
        if self.contents is not None:
            self.contents.fold(made, self.state)
        return [encode(frame, Place(offset, number)) for number, frame in enumerate(made)]


class Channel:
    """Reduced from `start`, the start of the oldest turn that was unfinished then; never from the middle."""

    def __init__(self, conversation_id: str, partition: int, start: int, reduction: Reduction) -> None:
        self.conversation_id = conversation_id
        self.partition = partition
        self.start = start
        self.subscribers = 0
        self.idle_since = 0.0
        self.last_offset = -1  # of the last record of the conversation that was seen here
        self.window = Window(Place.before(start), most_frames=MOST_FRAMES, most_bytes=MOST_BYTES)
        self.loading: asyncio.Task[None] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.backfills: dict[tuple[int, int], asyncio.Task[list[Encoded]]] = {}
        self.audiences: Audiences = {}
        self.feed: OwnerFeed | None = None
        self._reduction = reduction
        self._waiting: list[Record] | None = None
        self._ends: dict[str, int] = {}  # turn → the window's sequence after its last `complete`

    @property
    def state(self) -> ConversationState:
        return self._reduction.state

    @property
    def owner(self) -> str | None:
        """Whose it is; not known before its first record."""
        return self._reduction.owner

    @property
    def contents(self) -> Contents:
        assert self._reduction.contents is not None
        return self._reduction.contents

    def begin_at(self, start: int) -> None:
        """Before anything was applied: where the catch-up begins after all."""
        self.start = start
        self.window.floor = Place.before(start)

    def hold(self) -> None:
        """Keeps live records back until the catch-up has reached them."""
        self._waiting = []

    def release(self) -> None:
        """The catch-up has reached the first record kept back."""
        waiting, self._waiting = self._waiting or [], None
        for record in waiting:
            self.apply(record)

    def take(self, record: Record) -> bool:
        """A record of the tail; returns whether it was applied at once."""
        if self._waiting is not None:
            self._waiting.append(record)
            return False
        self.apply(record)
        return True

    def apply(self, record: Record) -> None:
        self.last_offset = record.offset
        frames = self._reduction.frames(record)
        self.window.append(frames)
        if frames and frames[-1].type == "complete":  # it is the last of its record
            self._ends[frames[-1].turn_id or ""] = self.window.end
        if self.feed is not None:
            self.feed.fill(self.partition, record.offset, frames, self.state)

    def news(self) -> asyncio.Future[None]:
        """Done with the next change; whoever asked may end it before."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        return waiter

    def deliver(self, now: float) -> tuple[int, int]:
        """Writes what is new to the live streams; returns the frames and bytes handed over."""
        frames = size = 0
        for audience in list(self.audiences.values()):
            turn = self.state.turns.get(audience.turn_id or "")
            finished = turn is not None and turn.finished
            if finished and audience.sequence < self._ends.get(audience.turn_id or "", 0) < self.window.end:
                audience.part(self.window)
            over = audience.turn_id is not None and (finished or self.state.deleted)
            more, bytes_ = audience.deliver(self.window, may_be_over=over, now=now)
            frames += more
            size += bytes_
        return frames, size

    def wake(self) -> None:
        """Once for all frames of a batch."""
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_result(None)

    def turn_finished(self, turn_id: str, floor: int | None, number: int = 1) -> bool:
        """Whether nothing more comes of a turn; `floor` is a lower bound of the start of its round `number`, the last
        one that is known to have been asked for."""
        turn = self.state.turns.get(turn_id)
        if turn is not None:
            return turn.finished and turn.round >= number
        # Every turn that was unfinished at the start is in the state, so an earlier one that is not had finished.
        return floor is not None and floor < self.start

    def turn_end(self, turn_id: str, floor: int | None, number: int = 1) -> int | None:
        """The window's sequence after the last frame of a turn; None as long as more of it is to come."""
        return self._ends.get(turn_id, 0) if self.turn_finished(turn_id, floor, number) else None
