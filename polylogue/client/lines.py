"""Finds the data of server-sent events in bytes that arrive in any pieces."""

from __future__ import annotations

LONGEST_LINE = 8 * 1024 * 1024  # bytes; the API splits what is longer than 1 MiB


class DataLines:
    """`feed` returns the data of each `data:` line as soon as the line is whole; all else in the stream is skipped.

    Every frame is one line, so a line is an event: neither blank lines nor the `id:` and `event:` lines of the
    standard form are needed.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises ValueError for a line that never ends."""
        # Only the new piece is searched, or a long line in small pieces would take quadratic time.
        if b"\n" not in piece:
            self._rest += piece
            self._check()
            return []
        *lines, rest = (bytes(self._rest) + piece).split(b"\n")
        self._rest = bytearray(rest)
        self._check()
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def _check(self) -> None:
        if len(self._rest) > LONGEST_LINE:
            raise ValueError(f"a line of the stream is longer than {LONGEST_LINE} bytes")
