"""All conversations of one owner as one row of frames: in the order of the log in each partition, whoever came first.

A conversation is opened when a record of it comes. Until it is caught up the records behind it in its partition wait,
so that a vector of places says exactly what a reader has had.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from polylogue.api.audience import Audiences
from polylogue.api.cursor import LAST_FRAME
from polylogue.api.vector import Stand, Starts, written
from polylogue.api.window import Encoded, Window
from polylogue.schemas.conversation_state import ConversationState

MOST_FRAMES = 4096
MOST_BYTES = 4 * 1024 * 1024
# What a list of conversations changes with.
BRIEF = frozenset(
    {
        *("conversation", "turn", "done", "complete", "error"),
        *("media", "media_failed", "media_deleted", "media_expired"),
    }
)


class View:
    """The frames of the owner for one kind of reader."""

    def __init__(self) -> None:
        self.window = Window(Stand.before(0).place, most_frames=MOST_FRAMES, most_bytes=MOST_BYTES)
        self.audiences: Audiences = {}


class _Expected:
    """A record of the owner's, and what it came to once its conversation was caught up."""

    __slots__ = ("conversation_id", "frames", "offset", "start")

    def __init__(self, offset: int, conversation_id: str) -> None:
        self.offset, self.conversation_id = offset, conversation_id
        self.frames: Sequence[Encoded] | None = None
        self.start: int | None = None


class OwnerFeed:
    def __init__(self, owner: str, positions: Mapping[int, int], digest: bytes) -> None:
        self.owner = owner
        self.views = {True: View(), False: View()}  # with all content, and without
        self.broken = False
        self.subscribers = 0
        self.idle_since = 0.0
        self._digest = digest
        self._stands = {partition: Stand.before(offset) for partition, offset in positions.items()}
        self._starts = {partition: Starts() for partition in positions}
        self._rows: dict[int, deque[_Expected]] = {partition: deque() for partition in positions}
        self._by_place: dict[tuple[int, int], _Expected] = {}
        self._settled_later: dict[int, dict[str, int | None]] = {partition: {} for partition in positions}
        self._waiters: set[asyncio.Future[None]] = set()

    def vector(self) -> dict[int, Stand]:
        """What a reader of all frames so far has had."""
        return dict(self._stands)

    def is_unfinished(self, partition: int, conversation_id: str, start: int) -> None:
        """Of a conversation with a turn under way nothing may have come here yet."""
        self._starts[partition].note(conversation_id, start)
        stand = self._stands[partition]
        self._stands[partition] = stand._replace(start=min(stand.start, start))

    def settle(self, partition: int, conversation_id: str, start: int | None) -> None:
        """What was said to be unfinished, as its channel knows it where the tail stands now.

        The tail may be ahead of what is shown: until that is shown too, its readers need the earlier start.
        """
        if self._rows[partition]:
            self._settled_later[partition][conversation_id] = start
        else:
            self._starts[partition].changed(conversation_id, self._stands[partition].offset, start)

    def expect(self, partition: int, offset: int, conversation_id: str) -> None:
        expected = _Expected(offset, conversation_id)
        self._rows[partition].append(expected)
        self._by_place[partition, offset] = expected

    def fill(self, partition: int, offset: int, frames: Sequence[Encoded], state: ConversationState) -> None:
        """The frames of an expected record; those of others are nothing to this feed."""
        expected = self._by_place.pop((partition, offset), None)
        if expected is None:
            return
        expected.frames, expected.start = frames, unfinished_start(state)
        row = self._rows[partition]
        while row and row[0].frames is not None:
            self._show(partition, row.popleft())
        if not row:
            later, self._settled_later[partition] = self._settled_later[partition], {}
            for conversation_id, start in later.items():
                self.settle(partition, conversation_id, start)

    def passed(self, partition: int, position: int) -> None:
        """The tail has brought everything before `position`."""
        if not self._rows[partition]:
            self._stands[partition] = Stand(position - 1, LAST_FRAME, self._starts[partition].at(position))

    def trim(self) -> None:
        for view in self.views.values():
            view.window.trim()

    def news(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        return waiter

    def wake(self) -> None:
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_result(None)

    def deliver(self, now: float) -> tuple[int, int]:
        frames = size = 0
        for view in self.views.values():
            for audience in list(view.audiences.values()):
                more, bytes_ = audience.deliver(view.window, may_be_over=False, now=now)
                frames, size = frames + more, size + bytes_
        return frames, size

    def _show(self, partition: int, expected: _Expected) -> None:
        assert expected.frames is not None
        offset = expected.offset
        starts = self._starts[partition]
        before = starts.at(offset)
        self._settled_later[partition].pop(expected.conversation_id, None)
        starts.changed(expected.conversation_id, offset, expected.start)
        shown = []
        for number, frame in enumerate(expected.frames, start=1):
            # Whoever has a part of an event must be able to reduce it again.
            last = number == len(expected.frames)
            start = starts.at(offset + 1) if last else before
            self._stands[partition] = Stand(offset, frame.place.frame, start)
            shown.append(frame._replace(id=written(self._stands, self._digest)))
        self._stands[partition] = Stand(offset, LAST_FRAME, starts.at(offset + 1))
        self.views[True].window.append(shown)
        self.views[False].window.append([frame for frame in shown if frame.type in BRIEF])


def unfinished_start(state: ConversationState) -> int | None:
    """Where a reader must begin to know what is under way; nothing where nothing is."""
    starts = [turn.start_offset for turn in state.turns.values() if not turn.finished]
    starts += [one.retried_from for one in state.media.values() if one.retried_from is not None]
    return min(starts, default=None)
