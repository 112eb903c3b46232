"""The cursor of a stream over all partitions: one place in each, short enough for a header."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from polylogue.api.cursor import LARGEST_OFFSET, LAST_FRAME, CursorError, Place

VERSION = 1
KEPT_RECORDS = (
    1000  # of a partition; a producer that is replaced sends again what was on its way, and no more
)
MOST_CHARACTERS = 8192
_MALFORMED = "The cursor is malformed; use the id of a frame as it came."


class Stand(NamedTuple):
    """Where a reader stands in one partition; `start` is where it must begin to know what the next frame depends on."""

    offset: int
    frame: int
    start: int

    @property
    def place(self) -> Place:
        return Place(self.offset, self.frame)

    @classmethod
    def before(cls, offset: int) -> Stand:
        """Right before everything at `offset`, with nothing unfinished."""
        return cls(max(0, offset - 1), LAST_FRAME, offset)


Vector = Mapping[int, Stand]
"""Partition → place; every partition of the log is in it."""


class OtherLogError(CursorError):
    """The cursor was made of another log."""


class Starts:
    """Where a reader of one partition must begin to know all that its next frame depends on.

    What is unfinished counts from its start. What has ended counts for `KEPT_RECORDS` more, so that a record that a
    retry wrote twice is known for what it is also by those who come back between the two.
    """

    def __init__(self) -> None:
        self._starts: dict[str, tuple[int, int | None]] = {}  # conversation → start, and where it ended

    def note(self, conversation_id: str, start: int) -> None:
        """Of what nothing has come yet."""
        self._starts.setdefault(conversation_id, (start, None))

    def changed(self, conversation_id: str, offset: int, unfinished: int | None) -> None:
        if unfinished is not None:
            self._starts[conversation_id] = (unfinished, None)
            return
        known = self._starts.pop(conversation_id, (offset, None))
        self._starts[conversation_id] = (min(known[0], offset), offset)
        old = [
            one
            for one, (_, ended) in self._starts.items()
            if ended is not None and ended < offset - KEPT_RECORDS
        ]
        for one in old:
            del self._starts[one]

    def at(self, otherwise: int) -> int:
        return min([otherwise, *(start for start, _ in self._starts.values())])


def logs_digest(log_ids: Mapping[int, str]) -> bytes:
    return zlib.crc32(
        ",".join(f"{number}:{log_ids[number]}" for number in sorted(log_ids)).encode()
    ).to_bytes(4)


def written(vector: Vector, digest: bytes) -> str:
    raw = bytearray((VERSION,)) + digest
    for partition in range(len(vector)):
        stand = vector[partition]
        _append(raw, stand.offset)
        raw.append(stand.frame)
        _append(raw, stand.offset + 1 - stand.start)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parse(text: str, digest: bytes, partitions: int) -> dict[int, Stand]:
    """The inverse of `written`. Raises CursorError, OtherLogError."""
    if len(text) > MOST_CHARACTERS or not text.isascii():
        raise CursorError(_MALFORMED)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise CursorError(_MALFORMED) from None
    if len(raw) < 5 or raw[0] != VERSION:
        raise CursorError("The cursor is malformed, or of a version that this server does not know.")
    if raw[1:5] != digest:
        raise OtherLogError("The cursor belongs to another event log.")
    vector: dict[int, Stand] = {}
    at = 5
    try:
        for partition in range(partitions):
            offset, at = _number(raw, at)
            frame, at = raw[at], at + 1
            back, at = _number(raw, at)
            if back > offset + 1:
                raise CursorError(_MALFORMED)
            vector[partition] = Stand(offset, frame, offset + 1 - back)
    except IndexError:
        raise CursorError(_MALFORMED) from None
    if at != len(raw):
        raise CursorError(_MALFORMED)
    return vector


def _append(raw: bytearray, number: int) -> None:
    while number >= 0x80:
        raw.append(number & 0x7F | 0x80)
        number >>= 7
    raw.append(number)


def _number(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if value > LARGEST_OFFSET:
            raise CursorError(_MALFORMED)
        if byte < 0x80:
            return value, at
