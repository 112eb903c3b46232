"""Valid PNG pictures of an exact size that nothing can compress."""

from __future__ import annotations

import math
import random
import struct
import zlib

MB = 1_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_FRAME = 12  # length, name and checksum around each chunk's data
_ROOM = 4096  # for headers and zlib's framing, filled up by a chunk of our own


def png(size: int, *, seed: int) -> bytes:
    """Noise in RGB, `size` bytes long exactly, different for every seed."""
    noise = random.Random(seed)
    side = math.isqrt((size - _ROOM - size // 1000) // 3)
    rows = b"".join(b"\0" + noise.randbytes(side * 3) for _ in range(side))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(rows, 0))
    end = _chunk(b"IEND", b"")
    missing = size - len(_SIGNATURE) - len(header) - len(pixels) - len(end) - _CHUNK_FRAME
    # An ancillary, private chunk that is safe to copy: readers skip it.
    filling = _chunk(b"fiLl", noise.randbytes(missing))
    return _SIGNATURE + header + filling + pixels + end


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
