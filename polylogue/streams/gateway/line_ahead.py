"""Takes a medium out of a line that is still arriving, decoded as far as it is there.

That it is one is a guess: whether the line is an answer, and this a medium of it, is known when the line is whole and was
read as every other is. So this may stop wherever it is in doubt, and all that it took out can be put back.
"""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple, Protocol

import pybase64

from polylogue.streams.gateway.lifted import Lifted, Prefix

_MARK = b";base64,"
# Sounds may come out in another format than they came in, so their bytes are not yet those of the medium.
_HEAD = re.compile(rb'"data:(?:image|video)/[\w.+-]{1,64};base64,\Z', re.ASCII)
_LONGEST_HEAD = 96


class Arriving(NamedTuple):
    """The next bytes of a medium that is not whole yet."""

    data: bytes
    prefix: Prefix  # all of them so far; it goes on with the medium, and is another one for another


class Lifting:
    """The first medium of one line."""

    def __init__(self) -> None:
        self.lifted: Lifted | None = None
        self._searched = 0
        self._at: int | None = None  # where the base64 that was not decoded yet begins
        self._over = False

    def lift(self, line: bytearray) -> Arriving | None:
        """What has come since the last call, of a line that has only grown; it is taken out of the line, and a mark
        stands there."""
        if self._over:
            return None
        if self._at is None:
            self._at = self._begin(line)
        if self._at is None:
            return None
        at, end = self._at, self._end(line, self._at)
        if end == at:
            return None
        try:
            # A view must be gone before the line can change its size.
            with memoryview(line) as whole, whole[at:end] as piece:
                data = pybase64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError):
            self._over = True
            return None
        if self.lifted is None:
            self.lifted = Lifted()
            line[at:end] = self.lifted.mark
            self._at = at + len(self.lifted.mark)
        else:
            del line[at:end]
        self.lifted.add(data)
        return Arriving(data, self.lifted.prefix)

    def _begin(self, line: bytearray) -> int | None:
        while (found := line.find(_MARK, self._searched)) >= 0:
            self._searched = begin = found + len(_MARK)
            if _HEAD.search(bytes(line[max(0, begin - _LONGEST_HEAD) : begin])):
                return begin
        self._searched = max(self._searched, len(line) - len(_MARK) + 1)
        return None

    def _end(self, line: bytearray, at: int) -> int:
        """Of whole groups without padding: what was padded does not always encode to what it came from."""
        stops = [stop for stop in (line.find(b'"', at), line.find(b"=", at)) if stop >= 0]
        self._over = bool(stops)
        end = min(stops, default=len(line))
        return end - (end - at) % 4


class EarlyTaker(Protocol):
    """Who wants the bytes of a medium before it is known whether it is one."""

    def begin(self, prefix: Prefix) -> bool:
        """Another medium begins, perhaps; `prefix` goes on with it, and is always what was added so far. False where
        its bytes are not wanted."""

    async def add(self, data: bytes) -> bool:
        """Returns when there is room for more; false where no more of this one are wanted."""


class MediaAhead:
    """Hands the media of one answer to who wants them early."""

    def __init__(self, taker: EarlyTaker) -> None:
        self._taker = taker
        self._prefix: Prefix | None = None
        self._wanted = False

    async def take(self, arriving: Arriving) -> None:
        if arriving.prefix is not self._prefix:
            self._prefix = arriving.prefix
            self._wanted = self._taker.begin(arriving.prefix)
        if self._wanted:
            self._wanted = await self._taker.add(arriving.data)
