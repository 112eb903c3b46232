"""In which order the records of a partition may be acknowledged: as they came, whichever of them is done first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class Begun(Generic[T]):
    """A record that was begun, and what has become of it."""

    generation: int
    offset: int
    record: T
    state: Literal["under_way", "done", "given_up"] = "under_way"


class AckOrder(Generic[T]):
    """Of one partition. Faust commits what it is told of even where an earlier record is missing, so it is told of none
    before all that came earlier are done."""

    def __init__(self) -> None:
        self._begun: deque[Begun[T]] = deque()

    @property
    def under_way(self) -> bool:
        return any(begun.state == "under_way" for begun in self._begun)

    def begin(self, generation: int, offset: int, record: T) -> Begun[T]:
        """What was begun in a former generation no longer counts. Where a record comes again, all from it on comes
        again, and counts from then."""
        if self._begun and self._begun[-1].generation != generation:
            self._begun.clear()
        while self._begun and self._begun[-1].offset >= offset:
            self._begun.pop()
        begun = Begun(generation, offset, record)
        self._begun.append(begun)
        return begun

    def give_up(self, begun: Begun[T]) -> None:
        """It is not done and nobody works on it: what came later waits until it comes again."""
        begun.state = "given_up"

    def finish(self, begun: Begun[T]) -> list[T]:
        """Returns the records that may be acknowledged now, in their order."""
        begun.state = "done"
        free = []
        while self._begun and self._begun[0].state == "done":
            free.append(self._begun.popleft().record)
        return free
