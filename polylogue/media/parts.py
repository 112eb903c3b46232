"""Pieces of a file, read by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import BinaryIO

from polylogue.media.spool import Spool

PART_BYTES = 8 * 1024 * 1024  # S3 takes 5 MiB at least and 10,000 parts at most


class FileParts:
    """A file of a known size. A thread holds one piece in memory, whatever the size of the file."""

    def __init__(self, source: BinaryIO | Spool, size_bytes: int) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._lock = threading.Lock()

    def starts(self) -> Iterator[tuple[int, int]]:
        """(number from 1, position) of each part."""
        return enumerate(range(0, self._size_bytes, PART_BYTES), start=1)

    def end(self, start: int) -> int:
        """Where the part that begins there ends."""
        return min(start + PART_BYTES, self._size_bytes)

    def read(self, start: int, size_bytes: int) -> bytes:
        """Raises OSError where the file is shorter than it was said to be."""
        if isinstance(self._source, Spool):
            piece = self._source.read_at(start, min(size_bytes, self._size_bytes - start))
        else:
            with self._lock:
                self._source.seek(start)
                piece = self._source.read(size_bytes)
        if len(piece) != min(size_bytes, self._size_bytes - start):
            raise OSError("the file is shorter than its size says")
        return piece
