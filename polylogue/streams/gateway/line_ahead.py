"""Finds a medium in a line that is still arriving and decodes it as far as it is there.

What comes out is a guess: whether the line is an answer, and this a medium of it, is known when the line is whole and was
read as every other is. So this may stop wherever it is in doubt, and nothing it says needs to be right.
"""

from __future__ import annotations

import binascii
import re
from typing import Protocol

import pybase64

_MARK = b";base64,"
# Sounds may come out in another format than they came in, so their bytes are not yet those of the medium.
_HEAD = re.compile(rb'"data:(?:image|video)/[\w.+-]{1,64};base64,\Z', re.ASCII)
_LONGEST_HEAD = 96


class EarlyTaker(Protocol):
    """Who wants the bytes of a medium before it is known whether it is one."""

    def begin(self) -> bool:
        """Another medium begins, perhaps; false where its bytes are not wanted."""

    async def add(self, data: bytes) -> bool:
        """Returns when there is room for more; false where no more of this one are wanted."""


class LineAhead:
    """The first medium of one line."""

    def __init__(self) -> None:
        self._searched = 0
        self._at: int | None = None  # where the base64 that was not decoded yet begins
        self.over = False

    @property
    def found(self) -> bool:
        return self._at is not None

    def more(self, line: bytearray) -> bytes:
        """What has come since the last call, of a line that has only grown."""
        if self.over:
            return b""
        if self._at is None:
            self._at = self._begin(line)
        if self._at is None:
            return b""
        end = len(line) - (len(line) - self._at) % 4
        if end <= self._at:
            self.over = end < self._at  # another line, or none any more
            return b""
        try:
            # A view must be gone before the line can grow.
            with memoryview(line) as whole, whole[self._at : end] as piece:
                data = pybase64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError):
            self.over = True
            return b""
        self._at = end
        return data

    def _begin(self, line: bytearray) -> int | None:
        while (found := line.find(_MARK, self._searched)) >= 0:
            self._searched = begin = found + len(_MARK)
            if _HEAD.search(bytes(line[max(0, begin - _LONGEST_HEAD) : begin])):
                return begin
        self._searched = max(self._searched, len(line) - len(_MARK) + 1)
        return None


class LinesAhead:
    """The lines of one answer."""

    def __init__(self, taker: EarlyTaker) -> None:
        self._taker = taker
        self._line = LineAhead()
        self._begun = False

    async def look(self, unfinished: bytearray | None, *, new: bool) -> None:
        """At the line that has not ended yet, where it is long; `new` where a former one has ended."""
        if new:
            self._line, self._begun = LineAhead(), False
        line = self._line
        if unfinished is None or line.over:
            return
        data = line.more(unfinished)
        if line.found and not self._begun:
            self._begun = True
            line.over = not self._taker.begin()
        if data and not line.over:
            line.over = not await self._taker.add(data)
