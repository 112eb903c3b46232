"""A spool that is closed takes no bytes any more, whichever thread brings them."""

from __future__ import annotations

import os
import threading

import pytest

from polylogue.media.spool import Spool


def test_a_writer_that_comes_too_late_is_told_so() -> None:
    spool = Spool()
    spool.write(b"one")
    spool.close()
    spool.close()
    with pytest.raises(OSError, match="closed"):
        spool.write(b"two")
    assert spool.size_bytes == 3


def test_it_is_not_closed_under_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a file that is closed is the next one's, and a write that is under way would go there."""
    spool = Spool()
    reads, writes = os.pipe()
    file = spool.file
    writing = threading.Event()

    class Slow:
        closed = False

        def write(self, data: memoryview) -> int:
            writing.set()
            os.read(reads, 1)
            assert not file.closed
            return file.write(data)

        def close(self) -> None:
            self.closed = True
            file.close()

    monkeypatch.setattr(spool, "file", Slow())
    writer = threading.Thread(target=spool.write, args=(b"bytes",))
    closer = threading.Thread(target=spool.close)
    writer.start()
    assert writing.wait(60)
    closer.start()
    closer.join(0.05)
    assert not file.closed
    os.write(writes, b"!")
    writer.join(60)
    closer.join(60)
    assert file.closed
    assert (spool.size_bytes, writer.is_alive()) == (5, False)
    os.close(reads)
    os.close(writes)
