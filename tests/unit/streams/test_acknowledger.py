"""A record is acknowledged when all of it is done, in order, and only while its partition is still ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from polylogue.streams import acknowledger as module
from polylogue.streams.acknowledger import Acknowledger
from polylogue.streams.dead_letters import SourceRecord
from polylogue.streams.media_work import Afterwards
from polylogue.streams.replaceable_producer import ProducerUnusableError


@dataclass
class App:
    consumer_generation_id: int = 1
    rebalancing: bool = False


@dataclass
class Message:
    offset: int
    partition: int = 0
    generation_id: int = 1
    topic: str = "media-requests"
    key: bytes = b"k"
    value: bytes = b"v"


@dataclass
class Event:
    message: Message
    acked: list[int]

    def ack(self) -> None:
        self.acked.append(self.message.offset)


@dataclass
class Unit:
    """Records that wait until they are released."""

    fails_with: Exception | None = None
    begun: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry_out(self, record: SourceRecord) -> None:
        self.begun.append(record.offset)
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with


async def settle_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_acknowledges_after_the_work_and_not_before() -> None:
    unit, acked = Unit(), []
    task = asyncio.create_task(Acknowledger(App(), unit).process(Event(Message(7), acked)))  # type: ignore[arg-type]
    await settle_loop()
    assert (unit.begun, acked) == ([7], [])
    unit.gate.set()
    await task
    assert acked == [7]


async def test_work_of_a_former_generation_is_neither_begun_nor_acknowledged() -> None:
    app, unit, acked = App(), Unit(), []
    acknowledger = Acknowledger(app, unit)  # type: ignore[arg-type]
    running = asyncio.create_task(acknowledger.process(Event(Message(7), acked)))
    await settle_loop()
    app.consumer_generation_id = 2
    unit.gate.set()
    await running
    await acknowledger.process(Event(Message(8), acked))
    assert (unit.begun, acked) == ([7], [])
    await acknowledger.process(Event(Message(7, generation_id=2), acked))
    assert acked == [7]


async def test_two_actors_of_one_partition_take_turns_and_two_partitions_do_not() -> None:
    unit, acked = Unit(), []
    acknowledger = Acknowledger(App(), unit)  # type: ignore[arg-type]
    tasks = [
        asyncio.create_task(acknowledger.process(Event(message, acked)))
        for message in (Message(1), Message(2), Message(100, partition=1))
    ]
    await settle_loop()
    assert unit.begun == [1, 100]
    unit.gate.set()
    await asyncio.gather(*tasks)
    assert [offset for offset in acked if offset < 100] == [1, 2]


async def test_cancelled_work_is_not_acknowledged() -> None:
    unit, acked = Unit(), []
    acknowledger = Acknowledger(App(), unit)  # type: ignore[arg-type]
    task = asyncio.create_task(acknowledger.process(Event(Message(7), acked)))
    await settle_loop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert acked == []


@pytest.mark.parametrize("error", [ProducerUnusableError("no broker"), RuntimeError("a defect")])
async def test_the_process_ends_before_the_acknowledgement_when_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Ended(BaseException):
        pass

    def end(_: str) -> Any:
        raise Ended

    monkeypatch.setattr(module, "die", end)
    unit, acked = Unit(fails_with=error), []
    unit.gate.set()
    with pytest.raises(Ended):
        await Acknowledger(App(), unit).process(Event(Message(7), acked))  # type: ignore[arg-type]
    assert acked == []


@dataclass
class Leaving:
    """A unit each of whose records leaves something to be done, which waits until it is let go."""

    fails_with: Exception | None = None
    begun: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    gates: dict[int, asyncio.Event] = field(default_factory=dict)

    async def carry_out(self, record: SourceRecord) -> Afterwards:
        offset = record.offset
        self.begun.append(offset)
        gate = self.gates[offset] = asyncio.Event()

        async def run() -> None:
            self.running.append(offset)
            await gate.wait()
            if self.fails_with is not None:
                raise self.fails_with

        return Afterwards(run, lambda: self.closed.append(offset))


async def test_the_next_record_begins_beside_what_is_left_of_the_last_one_and_is_acknowledged_after_it() -> (
    None
):
    unit, acked = Leaving(), []
    acknowledger = Acknowledger(App(), unit)  # type: ignore[arg-type]
    for offset in (1, 2, 3):
        await acknowledger.process(Event(Message(offset), acked))
    await settle_loop()
    assert (unit.running, acked) == ([1, 2, 3], [])
    assert acknowledger.busy() == [0]
    unit.gates[2].set()
    await settle_loop()
    assert (unit.closed, acked) == ([2], [])
    unit.gates[1].set()
    await settle_loop()
    assert acked == [1, 2]
    unit.gates[3].set()
    await settle_loop()
    assert acked == [1, 2, 3]
    assert acknowledger.busy() == []


async def test_a_record_waits_where_too_much_is_left_of_others() -> None:
    unit, acked = Leaving(), []
    acknowledger = Acknowledger(App(), unit, beside=2)  # type: ignore[arg-type]
    waiting = [
        asyncio.create_task(acknowledger.process(Event(Message(offset, partition), acked)))
        for partition, offset in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 9))
    ]
    await settle_loop()
    assert unit.running == [1, 2]
    assert sorted(unit.begun) == [1, 2, 3, 9]  # 4 waits behind 3, which waits for room
    unit.gates[2].set()
    await settle_loop()
    assert unit.running == [1, 2, 3]
    unit.gates[1].set()
    await settle_loop()
    assert unit.running == [1, 2, 3, 9]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await acknowledger.close()
    assert sorted(unit.closed) == [1, 2, 3, 4, 9]
    assert acked == [1, 2]


async def test_what_was_left_in_a_former_generation_is_not_acknowledged() -> None:
    app, unit, acked = App(), Leaving(), []
    acknowledger = Acknowledger(app, unit)  # type: ignore[arg-type]
    await acknowledger.process(Event(Message(7), acked))
    former = unit.gates[7]
    app.consumer_generation_id = 2
    await acknowledger.process(Event(Message(7, generation_id=2), acked))
    await acknowledger.process(Event(Message(8, generation_id=2), acked))
    former.set()
    unit.gates[8].set()
    await settle_loop()
    assert acked == []
    unit.gates[7].set()
    await settle_loop()
    assert acked == [7, 8]


async def test_a_stop_closes_what_is_left_and_acknowledges_nothing() -> None:
    unit, acked = Leaving(), []
    acknowledger = Acknowledger(App(), unit)  # type: ignore[arg-type]
    await acknowledger.process(Event(Message(1), acked))
    await settle_loop()
    await acknowledger.process(Event(Message(2), acked))  # cancelled before its first step
    await acknowledger.close()
    await settle_loop()
    assert (unit.running, sorted(unit.closed), acked) == ([1], [1, 2], [])
    assert acknowledger.busy() == []


async def test_a_record_that_comes_again_counts_from_then_on() -> None:
    first, acked = Unit(), []
    acknowledger = Acknowledger(App(), first)  # type: ignore[arg-type]
    task = asyncio.create_task(acknowledger.process(Event(Message(1), acked)))
    await settle_loop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    first.gate.set()
    await acknowledger.process(Event(Message(2), acked))
    assert (acked, acknowledger.busy()) == ([], [])
    for offset in (1, 2):
        await acknowledger.process(Event(Message(offset), acked))
    assert acked == [1, 2]


async def test_the_process_ends_when_what_is_left_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []

    def end(reason: str) -> Any:
        reasons.append(reason)
        raise asyncio.CancelledError

    monkeypatch.setattr(module, "die", end)
    unit, acked = Leaving(fails_with=ProducerUnusableError("no broker")), []
    await Acknowledger(App(), unit).process(Event(Message(7), acked))  # type: ignore[arg-type]
    unit.gates[7].set()
    await settle_loop()
    assert (len(reasons), acked, unit.closed) == (1, [], [7])
