"""A file of one medium on the disk, without a name: it grows while its first bytes are read already."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Self, cast


class Spool:
    """Several threads may read while one writes. The file is gone when it is closed, and when the process dies."""

    def __init__(self, part_bytes: int = sys.maxsize) -> None:
        """Of each piece of so many bytes it knows the SHA-256 without reading it again."""
        self.file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 (closed by `close`)
        self._hash = hashlib.sha256()
        self._part_bytes = part_bytes
        self._parts: list[bytes] = []  # the digests of those that are whole
        self._part = self._hash  # of the part that grows; the first one is all that there is so far
        self._hashing = threading.Lock()
        # A descriptor that was closed may be another file's by the time a late reader or writer comes: a thread goes on
        # when the task that waits for it is cancelled.
        self._lock = threading.Lock()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Of everything written so far, in lower-case hex."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Blocking. Raises OSError where the disk is full, or where it is closed."""
        rest = memoryview(data)
        while rest:
            with self._lock:
                self._must_be_open()
                rest = rest[self.file.write(rest) :]
        # Now, while the bytes are in the processor's cache.
        rest = memoryview(data)
        while rest:
            left = self._part_bytes - self.size_bytes % self._part_bytes
            with self._hashing:
                self._add(rest[:left])
            rest = rest[left:]

    def part_sha256(self, start: int, end: int) -> bytes | None:
        """None where that is no part, nor all that there is yet of the last one."""
        with self._hashing:
            if start % self._part_bytes:
                return None
            number = start // self._part_bytes
            if number < len(self._parts):
                return self._parts[number] if end - start == self._part_bytes else None
            return self._part.digest() if number == len(self._parts) and end == self.size_bytes else None

    def read_at(self, start: int, size_bytes: int) -> bytes:
        """Blocking; fewer bytes than asked for only at the end. Raises OSError where it is closed."""
        with self._lock:
            self._must_be_open()
            piece = os.pread(self.file.fileno(), size_bytes, start)
        if len(piece) == size_bytes or not piece:
            return piece
        return piece + self.read_at(start + len(piece), size_bytes - len(piece))

    def close(self) -> None:
        """Again is fine."""
        with self._lock:
            self.file.close()

    def _add(self, piece: memoryview) -> None:
        """Of one part."""
        self._hash.update(piece)
        if self._part is not self._hash:
            self._part.update(piece)
        size_bytes = self.size_bytes + len(piece)
        if size_bytes % self._part_bytes == 0:
            self._parts.append(self._part.digest())
            self._part = hashlib.sha256()
        self.size_bytes = size_bytes

    def _must_be_open(self) -> None:
        if self.file.closed:
            raise OSError("the spool is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def closed_unless_kept(spool: Spool) -> Iterator[Callable[[], None]]:
    """Closes it, unless what it gives was called."""
    with ExitStack() as stack:
        stack.callback(spool.close)

        def keep() -> None:
            stack.pop_all()

        yield keep
