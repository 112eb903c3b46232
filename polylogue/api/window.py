"""The bounded window of a conversation's latest frames: encoded once, joined once, read by every subscriber."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from polylogue.api.cursor import Place
from polylogue.schemas.frames import KeepaliveFrame, PlacedFrame, encode_frame

Form = Literal["data", "events"]
"""`data`: nothing but `data:` lines, for compare-stream; `events`: standard SSE with `id:` and `event:`."""


# Older clients of the one know no comments; EventSource needs no event to see that the other is alive.
KEEPALIVE: dict[Form, bytes] = {
    "data": b"data: " + encode_frame(KeepaliveFrame()) + b"\n\n",
    "events": b": keepalive\n\n",
}


class Encoded(NamedTuple):
    """A frame in both wire forms' common part."""

    place: Place
    id: str
    type: str
    turn_id: str | None
    json: bytes


def encode(frame: PlacedFrame, place: Place) -> Encoded:
    return Encoded(place, frame.id, str(frame.__struct_config__.tag), frame.turn_id, encode_frame(frame))


def concerns(frame: Encoded, turn_id: str | None) -> bool:
    """Whether a reader of that turn sees the frame; without a turn it sees all."""
    return turn_id is None or frame.turn_id is None or frame.turn_id == turn_id


def wire(frames: Iterable[Encoded], form: Form) -> bytes:
    """The frames as the bytes of one write."""
    if form == "data":
        return b"".join(b"data: " + frame.json + b"\n\n" for frame in frames)
    return b"".join(
        b"id: " + frame.id.encode() + b"\nevent: " + frame.type.encode() + b"\ndata: " + frame.json + b"\n\n"
        for frame in frames
    )


class Batch(NamedTuple):
    """All frames from one place of the window to its end, for one kind of reader."""

    data: bytes
    next_sequence: int
    last_id: str | None
    frames: int


class Window:
    """Frames have a sequence of their own here, rising without gaps, so that a reader is one number."""

    def __init__(self, floor: Place, *, most_frames: int, most_bytes: int) -> None:
        self.floor = floor
        """The window holds every frame after this place."""
        self._frames: list[Encoded] = []
        self._base = 0  # sequence of the first frame held
        self._bytes = 0
        self.written = 0  # bytes that were ever appended
        self._most_frames, self._most_bytes = most_frames, most_bytes
        # Subscribers at the same place get the same bytes object; forgotten with the next frame.
        self._joined: dict[tuple[int, Form, str | None, int | None], Batch] = {}

    @property
    def base(self) -> int:
        return self._base

    @property
    def end(self) -> int:
        return self._base + len(self._frames)

    def append(self, frames: Sequence[Encoded]) -> None:
        if frames:
            self._frames.extend(frames)
            size = sum(len(frame.json) for frame in frames)
            self._bytes += size
            self.written += size
            self._joined.clear()

    def trim(self) -> None:
        """Drops the oldest frames beyond the bounds."""
        drop = max(0, len(self._frames) - self._most_frames)
        held = self._bytes - sum(len(frame.json) for frame in self._frames[:drop])
        while held > self._most_bytes and drop < len(self._frames):
            held -= len(self._frames[drop].json)
            drop += 1
        if drop:
            self.floor = self._frames[drop - 1].place
            del self._frames[:drop]
            self._base += drop
            self._bytes = held
            self._joined.clear()

    def sequence_after(self, place: Place) -> int:
        """The sequence of the first frame held after `place`."""
        return self._base + bisect.bisect_right(self._frames, place, key=lambda frame: frame.place)

    def since(self, sequence: int, form: Form, turn_id: str | None, stop: int | None = None) -> Batch:
        """What a reader at `sequence`, which must not lie before `base`, has not had yet of what lies before `stop`."""
        key = (sequence, form, turn_id, stop)
        batch = self._joined.get(key)
        if batch is None:
            end = self.end if stop is None else max(sequence, stop)
            held = self._frames[sequence - self._base : end - self._base]
            news = [frame for frame in held if concerns(frame, turn_id)]
            batch = Batch(wire(news, form), end, news[-1].id if news else None, len(news))
            self._joined[key] = batch
        return batch
