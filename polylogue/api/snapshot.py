"""The state so far of a conversation's responses: folded from their frames as long as their turn is unfinished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from polylogue.api.cursor import LAST_FRAME, Cursor, Place, before
from polylogue.api.window import Encoded, encode
from polylogue.schemas import frames
from polylogue.schemas.conversation_state import ConversationState

MOST_BYTES = 8 * 1024 * 1024  # of text per conversation; what is longer is read from the log when asked for
_PLACES_A_ROUND = (
    1000  # between the positions of two rounds of a turn, as `conversation_messages` counts them
)


class Response:
    """One response so far; its status is the reducer's to tell."""

    __slots__ = ("content", "media", "model", "reasoning", "turn_id")

    def __init__(self, turn_id: str, model: str) -> None:
        self.turn_id, self.model = turn_id, model
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.media: dict[str, frames.SnapshotMedium] = {}

    def told(self, parts: list[str]) -> str:
        """The parts in one; they are kept so, that the next one who asks joins nothing twice."""
        parts[:] = ["".join(parts)] if parts else []
        return parts[0] if parts else ""


class Contents:
    """What the responses of unfinished turns have said; finished ones are forgotten, and are in the tables."""

    def __init__(self, most_bytes: int | None = MOST_BYTES) -> None:
        self.responses: dict[str, Response] = {}
        self.lost = False  # more was said than is kept here
        self._bytes, self._most_bytes = 0, most_bytes

    def fold(self, made: Iterable[frames.PlacedFrame], state: ConversationState) -> None:
        for frame in made:
            fold = _FOLDS.get(type(frame))
            if fold is not None:
                fold(self, frame)
            elif isinstance(frame, frames.CompleteFrame):
                self._forget(frame.turn_id or "", state)
            elif isinstance(frame, frames.ConversationFrame) and frame.change == "deleted":
                self._clear()

    def start(self, frame: frames.StartFrame) -> None:
        if not self.lost:
            # A new attempt begins the answer anew.
            self.responses[frame.response_id] = Response(frame.turn_id or "", frame.model)

    def text(self, frame: frames.ChunkFrame | frames.ReasoningFrame) -> None:
        response = self.responses.get(frame.response_id)
        if response is None:
            return
        parts = response.content if isinstance(frame, frames.ChunkFrame) else response.reasoning
        parts.append(frame.content)
        self._bytes += len(frame.content)
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            self._clear()
            self.lost = True

    def medium(self, frame: Any) -> None:
        response = self.responses.get(frame.response_id or "")
        if response is not None:
            known = response.media.get(frame.media_id)
            medium = _folded_medium(known, frame)
            if medium is not None:
                response.media[frame.media_id] = medium

    def _forget(self, turn_id: str, state: ConversationState) -> None:
        turn = state.turns.get(turn_id)
        if turn is None or not turn.finished:
            return
        if state.running_turn() is None:
            self._clear()
            return
        self.responses = {name: one for name, one in self.responses.items() if one.turn_id != turn_id}

    def _clear(self) -> None:
        self.responses.clear()
        self._bytes, self.lost = 0, False


def _folded_medium(known: frames.SnapshotMedium | None, frame: Any) -> frames.SnapshotMedium | None:
    match frame:
        case frames.MediaPendingFrame():
            return frames.SnapshotMedium(
                media_id=frame.media_id,
                media_type=frame.media_type,
                status=frame.phase,
                format=frame.format,
                size_bytes=frame.size_bytes,
                width=frame.width,
                height=frame.height,
            )
        case frames.MediaFrame():
            return frames.SnapshotMedium(
                media_id=frame.media_id,
                media_type=frame.media_type,
                status="stored",
                url=frame.url,
                format=frame.format,
                content_type=frame.content_type,
                size_bytes=frame.size_bytes,
                width=frame.width,
                height=frame.height,
                duration_ms=frame.duration_ms,
                renditions=frame.renditions,
            )
        case frames.MediaFailedFrame():
            return frames.SnapshotMedium(
                media_id=frame.media_id, media_type=frame.media_type, status="failed", reason=frame.reason
            )
        case frames.MediaRenditionsFrame() if known is not None:
            return msgspec.structs.replace(known, renditions=frame.renditions)
        case frames.MediaDeletedFrame() | frames.MediaExpiredFrame() if known is not None:
            gone = "deleted" if isinstance(frame, frames.MediaDeletedFrame) else "expired"
            return frames.SnapshotMedium(
                media_id=known.media_id, media_type=known.media_type, status=gone, reason=frame.reason
            )
    return None


_FOLDS: dict[type[frames.PlacedFrame], Any] = {
    frames.StartFrame: Contents.start,
    frames.ChunkFrame: Contents.text,
    frames.ReasoningFrame: Contents.text,
    frames.MediaPendingFrame: Contents.medium,
    frames.MediaFrame: Contents.medium,
    frames.MediaFailedFrame: Contents.medium,
    frames.MediaRenditionsFrame: Contents.medium,
    frames.MediaDeletedFrame: Contents.medium,
    frames.MediaExpiredFrame: Contents.medium,
}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A response as a snapshot shows it."""

    turn_id: str
    response_id: str
    model: str
    content: str
    reasoning: str
    media: tuple[frames.SnapshotMedium, ...]
    status: str


def running(contents: Contents, state: ConversationState) -> list[Told]:
    """The responses of unfinished turns, in the order in which they were asked."""
    return [
        Told(
            turn_id=one.turn_id,
            response_id=response_id,
            model=one.model,
            content=one.told(one.content),
            reasoning=one.told(one.reasoning),
            media=tuple(one.media.values()),
            status=state.responses[response_id].status,
        )
        for response_id, one in contents.responses.items()
        if response_id in state.responses
    ]


def snapshot_frames(conversation_id: str, told: Sequence[Told], at: Cursor, begin: int) -> list[Encoded]:
    """Only the last frame has the cursor that the snapshot stands for. The others have the one before everything, so
    that a reader who got a part of them begins again, and misses nothing."""
    first = before(at.log_id, at.partition, begin)
    made = []
    for number, one in enumerate(told, start=1):
        cursor = at if number == len(told) else first
        frame = frames.SnapshotFrame(
            id=str(cursor),
            conversation_id=conversation_id,
            turn_id=one.turn_id,
            model=one.model,
            response_id=one.response_id,
            content=one.content,
            reasoning=one.reasoning,
            media=one.media,
            status=one.status,
        )
        made.append(encode(frame, cursor.place))
    return made


def standing_at(
    log_id: str, partition: int, last_offset: int, start: int, state: ConversationState
) -> Cursor:
    """The cursor of everything up to a channel's last record; `start`: that of the channel, where it has seen none."""
    offset = last_offset if last_offset >= 0 else max(0, start - 1)
    return Cursor(log_id, partition, offset, LAST_FRAME, min(state.start_offset(offset + 1), offset + 1))


def begins_again(after: Cursor | None, begin: int) -> bool:
    """Whether a reader with this cursor has seen nothing, or a part of a snapshot and nothing else."""
    return after is None or after.place < Place(begin, 0)
