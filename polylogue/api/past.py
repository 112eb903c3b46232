"""What lies before the tail: records of a conversation or an owner, read again and reduced to frames."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from polylogue.api.channel import Record, Reduction, Skipped
from polylogue.api.framing import UrlFor
from polylogue.api.owner_feed import unfinished_start
from polylogue.api.owners import owner_of
from polylogue.api.snapshot import Contents
from polylogue.api.window import Encoded


class ReadRange(Protocol):
    """Reads the records of one key, or of all, in a range of offsets of `conversation-events`."""

    def __call__(
        self, partition: int, key: bytes | None, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]: ...


class Shown(NamedTuple):
    """What a record of the past came to, and where what is unfinished after it began."""

    offset: int
    conversation_id: str
    frames: list[Encoded]
    unfinished: int | None


class Past:
    """Each reading counts as one, whatever it is for. All raise LogTruncatedError, KafkaError."""

    def __init__(
        self,
        log_ids: Mapping[int, str],
        *,
        read: ReadRange,
        url_for: UrlFor,
        skipped: Skipped,
        caught_up: Callable[[], None],
    ) -> None:
        self._log_ids, self._read, self._url_for = log_ids, read, url_for
        self._skipped, self._caught_up = skipped, caught_up

    def reduction(self, partition: int, contents: Contents | None = None) -> Reduction:
        return Reduction(self._log_ids[partition], partition, self._url_for, self._skipped, contents)

    async def records(
        self, partition: int, key: bytes | None, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Of one conversation, or of all."""
        self._caught_up()
        if start < stop:
            async for records in self._read(partition, key, start, stop):
                yield records

    async def frames(self, partition: int, key: bytes, start: int, stop: int) -> list[Encoded]:
        reduction = self.reduction(partition)
        frames: list[Encoded] = []
        async for records in self.records(partition, key, start, stop):
            for record in records:
                frames.extend(reduction.frames(record))
        return frames

    async def owned(self, owner: str, partition: int, start: int, stop: int) -> AsyncIterator[Shown]:
        """What was seen of the owner's conversations from `start` to before `stop`, record by record."""
        reductions: dict[bytes, Reduction] = {}
        async for records in self.records(partition, None, start, stop):
            for record in records:
                if record.key is None or owner_of(record.value) != owner:
                    continue
                reduction = reductions.get(record.key)
                if reduction is None:
                    reduction = reductions[record.key] = self.reduction(partition)
                frames = reduction.frames(record)
                yield Shown(record.offset, record.key.decode(), frames, unfinished_start(reduction.state))
