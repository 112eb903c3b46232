"""A record is acknowledged when it is done, in order, and only while its partition is still ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from polylogue.streams import media_agent
from polylogue.streams.dead_letters import SourceRecord
from polylogue.streams.media_agent import Acknowledger
from polylogue.streams.replaceable_producer import ProducerUnusableError


@dataclass
class App:
    consumer_generation_id: int = 1


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

    monkeypatch.setattr(media_agent, "die", end)
    unit, acked = Unit(fails_with=error), []
    unit.gate.set()
    with pytest.raises(Ended):
        await Acknowledger(App(), unit).process(Event(Message(7), acked))  # type: ignore[arg-type]
    assert acked == []
