"""Pieces of a file, read by several threads at once."""

from __future__ import annotations

import hashlib
import io
import math
import threading
from typing import BinaryIO, cast

from polylogue.media.spool import Spool

MIB = 1024 * 1024
PART_BYTES = 8 * MIB  # at most; S3 takes 10,000 parts at most
SMALLEST_PART_BYTES = 5 * MIB  # S3 takes no smaller one, except the last
READ_BYTES = MIB  # what a thread holds of its piece


def part_bytes(size_bytes: int | None) -> int:
    """How long the parts of a file are, but the last one. Of one that still grows its length may not be known yet."""
    # Of one size, so that a short last part is not what all others are waited for with; as few as there can be.
    known = size_bytes or SMALLEST_PART_BYTES
    count = math.ceil(known / PART_BYTES)
    return max(SMALLEST_PART_BYTES, math.ceil(known / count))


class FileParts:
    """A file, and where it is cut. Of a file that still grows it may not be known how long it will be."""

    def __init__(self, source: BinaryIO | Spool, size_bytes: int | None) -> None:
        self._source = source
        self.size_bytes = size_bytes  # set it as soon as it is known
        self._part_bytes = part_bytes(size_bytes)
        self._lock = threading.Lock()

    def end(self, start: int) -> int:
        """Where the part that begins there ends, as far as is known."""
        end = start + self._part_bytes
        return end if self.size_bytes is None else min(end, self.size_bytes)

    def open(self, start: int, end: int) -> BinaryIO:
        """The bytes between two positions, as a body: botocore and urllib3 read, seek and tell, and ask for no more."""
        return cast("BinaryIO", _Piece(self, start, end))

    def sha256(self, start: int, end: int) -> bytes:
        """Raises OSError where the file is shorter than it was said to be."""
        if isinstance(self._source, Spool) and (known := self._source.part_sha256(start, end)) is not None:
            return known
        digest = hashlib.sha256()
        for at in range(start, end, READ_BYTES):
            digest.update(self.read(at, min(READ_BYTES, end - at)))
        return digest.digest()

    def read(self, start: int, size_bytes: int) -> bytes:
        """Raises OSError as above."""
        if isinstance(self._source, Spool):
            piece = self._source.read_at(start, size_bytes)
        else:
            with self._lock:
                self._source.seek(start)
                piece = self._source.read(size_bytes)
        if len(piece) != size_bytes:
            raise OSError("the file is shorter than its size says")
        return piece


class _Piece:
    """Reading raises OSError where the file is shorter than it was said to be."""

    def __init__(self, parts: FileParts, start: int, end: int) -> None:
        self._parts = parts
        self._start = self._at = start
        self._end = end

    def read(self, size: int = -1) -> bytes:
        """Gives more than it is asked for: urllib3 asks for 16 KiB at a time, which costs a tenth of an upload."""
        left = max(0, self._end - self._at)
        piece = self._parts.read(self._at, left if size < 0 else min(left, max(size, READ_BYTES)))
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(self._start, base + offset)
        return self.tell()

    def tell(self) -> int:
        return self._at - self._start
