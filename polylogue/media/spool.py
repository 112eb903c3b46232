"""A file of one medium on the disk, without a name: it grows while its first bytes are read already."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Self, cast


class Spool:
    """Several threads may read while one writes. The file is gone when it is closed, and when the process dies."""

    def __init__(self) -> None:
        self.file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 (closed by `close`)
        self._hash = hashlib.sha256()
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
        self._hash.update(data)
        self.size_bytes += len(data)

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
