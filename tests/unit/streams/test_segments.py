"""A medium of many segments lies in the log in its order, whatever the producer lets overtake and wherever it fails."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.infra.settings import Settings
from polylogue.streams import replaceable_producer, segments
from polylogue.streams.replaceable_producer import UNDER_WAY, ReplaceableProducer
from polylogue.streams.segment_reader import SegmentCollector
from polylogue.streams.segments import MediaOutbox

COUNT = 12
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


async def written(log: Log, data: bytes) -> None:
    """Writes a medium and reads it as the media agent does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaceable_producer, "idempotent_producer", log.producer)
        patch.setattr(replaceable_producer, "PAUSE_S", 0.0)
        patch.setattr(segments, "SEGMENT_BYTES", SMALL)
        outbox = MediaOutbox(Settings(_env_file=None))
        lies = await outbox.write_segments("m", data, hashlib.sha256(data).hexdigest())
        await outbox.close()
    collected = SegmentCollector("m", lies)
    collected.add(log.records[lies.first_offset :])
    found = collected.result()
    with found.spool:
        assert found.complete
        assert found.spool.sha256 == lies.sha256
    assert lies.count == COUNT + 1


DATA = b"".join(bytes([number]) * SMALL for number in range(COUNT)) + b"rest"


async def test_segments_lie_in_their_order_with_several_on_their_way() -> None:
    log = Log()
    await written(log, DATA)
    assert len(log.records) == COUNT + 1
    assert log.most_under_way == UNDER_WAY


@settings(deadline=None)
@given(deaths=st.lists(st.tuples(st.integers(1, 3 * COUNT), st.booleans()), max_size=4))
def test_a_medium_is_whole_wherever_producers_die(deaths: list[tuple[int, bool]]) -> None:
    asyncio.run(written(Log(sorted(deaths)), DATA))


async def test_several_media_at_once_do_not_mix_up_each_other_s_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    monkeypatch.setattr(replaceable_producer, "idempotent_producer", log.producer)
    shared = ReplaceableProducer(Settings(_env_file=None))

    def of(name: str) -> Any:
        return lambda number: (f"{name}{number}".encode(), ())

    ways = (shared.send_in_order("t", COUNT, of(name), key=None, partition=0) for name in "abc")
    for name, offsets in zip("abc", await asyncio.gather(*ways), strict=True):
        values = [record.value.decode() for record in log.records if record.value.decode()[0] == name]
        assert values == [f"{name}{number}" for number in range(COUNT)]
        assert [log.records[offset].value.decode() for offset in offsets] == values
