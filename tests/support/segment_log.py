"""A log of one partition in memory, and producers that die while they write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from polylogue.schemas.claims import SegmentRange
from polylogue.streams import replaceable_producer, segment_series, segments_ahead
from polylogue.streams.segment_reader import SegmentCollector

TURNS = 50  # of the loop, until a record is acknowledged
SMALL = 64


@dataclass
class Log:
    """One partition, and the producers that write to it: each dies with the record of its number among all, or before
    it is written, or before it is acknowledged."""

    deaths: list[tuple[int, bool]] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    attempts: int = 0
    most_under_way: int = 0

    def producer(self, *_: Any, **__: Any) -> Producer:
        return Producer(self)


@dataclass
class Producer:
    """Of two sends that wait at the same time, the later one comes first, as happens where a batch is full."""

    log: Log
    dead: bool = False
    waiting: int = 0
    under_way: int = 0

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.dead = True

    async def send(
        self, _: str, value: bytes, *, headers: list[tuple[str, bytes]], **__: Any
    ) -> asyncio.Future[SimpleNamespace]:
        log, loop = self.log, asyncio.get_running_loop()
        self.waiting += 1
        for _turn in range(8 - self.waiting):
            await asyncio.sleep(0)
        self.waiting -= 1
        answer: asyncio.Future[SimpleNamespace] = loop.create_future()
        log.attempts += 1
        due = bool(log.deaths) and log.attempts >= log.deaths[0][0]
        written = not self.dead and (not due or log.deaths[0][1])
        if written:
            log.records.append(SimpleNamespace(offset=len(log.records), value=value, headers=headers))
        if due and not self.dead:
            log.deaths.pop(0)
            self.dead = True
            answer.set_exception(KafkaConnectionError())
        elif not self.dead:
            self.under_way += 1
            log.most_under_way = max(log.most_under_way, self.under_way)
            loop.call_soon(self._acknowledge, answer, len(log.records) - 1, TURNS)
        return answer

    def _acknowledge(self, answer: asyncio.Future[SimpleNamespace], offset: int, turns: int) -> None:
        if turns:
            answer.get_loop().call_soon(self._acknowledge, answer, offset, turns - 1)
            return
        self.under_way -= 1
        if answer.cancelled():
            return
        if self.dead:
            answer.set_exception(KafkaConnectionError())
        else:
            answer.set_result(SimpleNamespace(offset=offset))


def record(offset: int, value: bytes, media_id: str, number: int) -> SimpleNamespace:
    """One segment as a consumer gets it."""
    headers = (("media_id", media_id.encode()), ("segment", str(number).encode()))
    return SimpleNamespace(offset=offset, value=value, headers=headers)


@contextmanager
def written_to(log: Log) -> Iterator[None]:
    """Segments are small here, and all that is sent goes to this log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaceable_producer, "idempotent_producer", log.producer)
        patch.setattr(replaceable_producer, "PAUSE_S", 0.0)
        patch.setattr(segment_series, "SEGMENT_BYTES", SMALL)
        patch.setattr(segments_ahead, "SEGMENT_BYTES", SMALL)
        yield


def assert_lies_there(log: Log, lies: SegmentRange, media_id: str) -> None:
    """It is read as the media agent does."""
    collected = SegmentCollector(media_id, lies)
    collected.add(log.records[lies.first_offset :])
    found = collected.result()
    with found.spool:
        assert found.complete
        assert (found.spool.sha256, found.spool.size_bytes) == (lies.sha256, lies.size_bytes)
