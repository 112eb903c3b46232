"""The cursor: where a reader stands in a partition of `conversation-events`, as text that sorts as it stands."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

VERSION = 1
# One event makes at most one `turn` and twelve `start` frames; the last number stands for all of the event.
LAST_FRAME = 0xFF
_OFFSET_DIGITS = 12  # 281 million million records a partition
LARGEST_OFFSET = 16**_OFFSET_DIGITS - 1
_TEXT = re.compile(r"([0-9a-f])-([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{12})-([0-9a-f]{2})-([0-9a-f]{12})")


class CursorError(ValueError):
    """The text is no cursor; the message is a sentence for the caller."""


class Place(NamedTuple):
    """A frame's place in its partition."""

    offset: int
    frame: int

    @classmethod
    def before(cls, offset: int) -> Self:
        """The place right before everything at `offset`."""
        return cls(offset - 1, LAST_FRAME)


class Cursor(NamedTuple):
    """Compares as its text does. `start` is where a reader must begin to know all that the next frame depends on."""

    log_id: str  # eight hexadecimal digits
    partition: int
    offset: int
    frame: int
    start: int

    @property
    def place(self) -> Place:
        return Place(self.offset, self.frame)

    def __str__(self) -> str:
        return f"{VERSION:x}-{self.log_id}-{self.partition:04x}-{self.offset:012x}-{self.frame:02x}-{self.start:012x}"


def before(log_id: str, partition: int, offset: int) -> Cursor:
    """The cursor that resumes with the first frame at or after `offset`."""
    # Offset 0 is LogCreated, of which no frame is made.
    return Cursor(log_id, partition, max(0, offset - 1), LAST_FRAME, offset)


def parse(text: str) -> Cursor:
    """The inverse of `str`. Raises CursorError."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise CursorError("The cursor is malformed; use the id of a frame as it came.")
    version, log_id, *numbers = match.groups()
    if int(version, 16) != VERSION:
        raise CursorError("The cursor is of a version that this server does not know.")
    partition, offset, frame, start = (int(number, 16) for number in numbers)
    if start > offset + 1:
        raise CursorError("The cursor is malformed: it starts after its own offset.")
    return Cursor(log_id, partition, offset, frame, start)
