"""Which part of a file a request asks for: `Range` and `If-Range` as RFC 9110 has them, one range at a time. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*([0-9]{0,20})-([0-9]{0,20})\s*", re.IGNORECASE)


class UnsatisfiableError(ValueError):
    """The range begins after the end of the file."""


@dataclass(frozen=True)
class ByteRange:
    """From `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def asked_for(header: str | None, size: int) -> ByteRange | None:
    """The range of a file of `size` bytes; None for all of it, also where the header asks for what nobody needs to
    give: another unit, several ranges, nonsense. Raises UnsatisfiableError."""
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return None
    begin, end = found.groups()
    if not begin:
        if not end:
            return None
        if int(end) == 0 or size == 0:
            raise UnsatisfiableError
        return ByteRange(max(0, size - int(end)), size - 1)
    first = int(begin)
    if end and int(end) < first:
        return None
    if first >= size:
        raise UnsatisfiableError
    return ByteRange(first, min(int(end), size - 1) if end else size - 1)


def holds(if_range: str | None, etag: str) -> bool:
    """Whether the part that the client has is of the same file. A date says nothing: none is ever sent."""
    return if_range is None or if_range.strip() == etag


def not_modified(if_none_match: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag in tags
