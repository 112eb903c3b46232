"""A file read through a descriptor that others read too: it keeps its own position and never moves theirs."""

from __future__ import annotations

import io
import os


class PreadFile(io.RawIOBase):
    """Does not own the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._size = os.fstat(descriptor).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is newer
        done = os.preadv(self._descriptor, [buffer], self._position)
        self._position += done
        return done


def buffered(descriptor: int) -> io.BufferedReader:
    return io.BufferedReader(PreadFile(descriptor), 256 * 1024)
