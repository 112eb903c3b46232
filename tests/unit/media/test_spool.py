"""A spool knows its parts' hashes as they are, and takes no bytes when it is closed, whichever thread brings them."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.parts import SMALLEST_PART_BYTES, FileParts, part_bytes
from polylogue.media.spool import Spool


@given(pieces=st.lists(st.binary(max_size=12), max_size=8), part=st.integers(1, 9))
def test_it_knows_the_hash_of_each_part_as_it_was_written(pieces: list[bytes], part: int) -> None:
    data = b"".join(pieces)
    with Spool(part) as spool:
        for piece in pieces:
            spool.write(piece)
        assert spool.sha256 == hashlib.sha256(data).hexdigest()
        for start in range(len(data) + 2):
            for end in range(start, len(data) + 2):
                is_part = start % part == 0 and end - start == part and end <= len(data)
                is_last = start % part == 0 and end == len(data) and end - start < part
                known = spool.part_sha256(start, end)
                assert known == (hashlib.sha256(data[start:end]).digest() if is_part or is_last else None)


def test_a_part_is_not_read_again_for_its_hash_and_other_pieces_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(SMALLEST_PART_BYTES + 1000)
    reads: list[int] = []
    read_at = Spool.read_at

    def counted(spool: Spool, start: int, size_bytes: int) -> bytes:
        reads.append(start)
        return read_at(spool, start, size_bytes)

    monkeypatch.setattr(Spool, "read_at", counted)
    with Spool(part_bytes(None)) as spool:
        spool.write(data)
        parts = FileParts(spool, None)
        parts.size_bytes = len(data)
        end = parts.end(0)
        assert parts.sha256(0, end) == hashlib.sha256(data[:end]).digest()
        assert parts.sha256(end, len(data)) == hashlib.sha256(data[end:]).digest()
        assert reads == []
        assert parts.sha256(10, 20) == hashlib.sha256(data[10:20]).digest()
    assert reads == [10]


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
