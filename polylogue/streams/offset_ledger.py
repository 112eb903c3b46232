"""Which offset of a partition of `commands` may be committed: that of the oldest unfinished command."""

from __future__ import annotations


class OffsetLedger:
    """Keeps the unfinished commands of one partition. Offsets are begun in rising order and finished in any."""

    def __init__(self, next_offset: int) -> None:
        self._next = next_offset
        self._open: set[int] = set()

    @property
    def next_offset(self) -> int:
        """The offset after the last command that was begun."""
        return self._next

    def begin(self, offset: int) -> None:
        """Raises ValueError for an offset that was passed already."""
        if offset < self._next:
            raise ValueError(f"offset {offset} was begun before; the next one is {self._next}")
        self._open.add(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        self._open.discard(offset)

    @property
    def committable(self) -> int:
        """What a successor must read first."""
        return min(self._open, default=self._next)
