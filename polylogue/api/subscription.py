"""One reader of a conversation: first what lies before the window, then the window as it grows, to the turn's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from polylogue.api.audience import Audiences
from polylogue.api.channel import Channel
from polylogue.api.cursor import Cursor, Place, before
from polylogue.api.hub import Hub
from polylogue.api.window import Batch, Encoded, Form, Window, concerns
from polylogue.api.window_reader import WindowReader, gap


class Subscription(WindowReader):
    __slots__ = ("_channel", "_place", "_start", "_turn_floor", "_turn_round", "read_log")

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
        super().__init__(hub, channel, keepalive_s=keepalive_s, sent=sent, form=form, turn_id=turn_id)
        self._channel, self._turn_floor, self._turn_round = channel, turn_floor, turn_round
        self._place = after.place if after else Place.before(start)
        self._start = after.start if after else start
        log_id = hub.log_ids.get(channel.partition, "0" * 8)
        self.last_id = str(after or before(log_id, channel.partition, start))
        self.read_log = False  # what it begins with was not in the window

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
        end = self._end()
        if end is not None and end <= self._sequence:
            self._backlog = through_complete(self._backlog)

    def begin_with(self, frames: list[Encoded], at: Cursor, sequence: int) -> None:
        """Instead of `prepare`: a snapshot that stands for `at`, and then what the window has from `sequence` on."""
        self._backlog, self._sequence = list(frames), sequence
        self._place, self._start, self.last_id = at.place, at.start, str(at)

    @property
    def over(self) -> bool:
        """Whether the turn has ended and nothing of it lies after the cursor."""
        if self.turn_id is None or self._backlog:
            return False
        end = self._end()
        if end is not None:
            return self._sequence >= end
        # A prompt that crossed the deletion of its conversation is never begun.
        crossed = self._channel.state.deleted and self.turn_id not in self._channel.state.turns
        return crossed and not self._too_slow() and not self._news().frames

    @property
    def window(self) -> Window:
        return self._channel.window

    @property
    def audiences(self) -> Audiences:
        return self._channel.audiences

    def had_all(self, sequence: int, last_id: str) -> None:
        self._sequence, self.last_id = sequence, max(self.last_id, last_id)

    def _end(self) -> int | None:
        """Where the turn ends in the window's sequence, once it has: what is told of its media later is not its own."""
        if self.turn_id is None:
            return None
        return self._channel.turn_end(self.turn_id, self._turn_floor, self._turn_round)

    def _news(self) -> Batch:
        return self.window.since(self._sequence, self.form, self.turn_id, self._end())

    def gap(self, reason: Literal["slow", "shutdown"]) -> bytes:
        return gap(self._channel.conversation_id, reason, self.last_id, self.form, turn_id=self.turn_id)


def through_complete(frames: list[Encoded]) -> list[Encoded]:
    """Those of a turn that has ended, to its last `complete`; none where the reader has had that."""
    last = next((n for n in range(len(frames), 0, -1) if frames[n - 1].type == "complete"), 0)
    return frames[:last]
