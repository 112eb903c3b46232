"""One writer a partition: fenced by the broker, and through the loss of the broker itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polylogue.infra.local.stack import LocalStack, environment
from polylogue.infra.settings import Settings, load_settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import TextAppended
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.partition_writer import PartitionLostError, PartitionWriter


def text(number: int) -> Event:
    return Event(
        event_id=f"e{number}",
        conversation_id="c",
        owner_id="local",
        occurred_at=rfc3339(),
        response_id="r",
        attempt=1,
        sequence=number,
        data=TextAppended(text=str(number)),
    )


async def written(settings: Settings, partition: int) -> list[int]:
    """The sequences in the log, in order, repetitions included."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    events = [
        event_codec.decode(record.value) async for record in read_to_end(settings, topic, partition, offset=0)
    ]
    return [event.sequence for event in events if isinstance(event, Event) and event.sequence]


@pytest.mark.parametrize("transaction", ["open", "committed"])
async def test_a_new_writer_fences_the_former_one(prepared: Settings, transaction: str) -> None:
    lost: list[int] = []
    former = PartitionWriter(prepared, 1, on_lost=lost.append)
    await former.start()
    before = now_ms()
    stamp = await former.append(text(1))
    assert before - 1000 <= stamp <= now_ms() + 1000
    if transaction == "committed":
        while former.in_transaction:
            await asyncio.sleep(0.01)
    new = PartitionWriter(prepared, 1, on_lost=lost.append)
    await new.start()
    with pytest.raises(PartitionLostError):
        await former.append(text(2))
    with pytest.raises(PartitionLostError):
        former.append(text(3))
    await new.append(text(4))
    await former.close()
    await new.close()
    assert lost == [1]
    assert await written(prepared, 1) == [1, 4]


async def test_what_an_abandoned_writer_has_not_sent_is_never_sent(prepared: Settings) -> None:
    writer = PartitionWriter(prepared, 0, on_lost=lambda _: None)
    await writer.start()
    await writer.append(text(1))
    waiting = writer.append(text(2))
    writer.abandon()
    with pytest.raises(PartitionLostError):
        await waiting
    await writer.close()
    assert await written(prepared, 0) == [1]


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[tuple[LocalStack, Settings]]:
    stack = LocalStack(tmp_path / "stack", services=frozenset({"kafka"}))
    names = environment(await asyncio.to_thread(stack.up))
    settings = load_settings(_env_file=None, kafka_bootstrap_servers=names["KAFKA_BOOTSTRAP_SERVERS"])
    try:
        await apply_topics(settings, partitions=1)
        yield stack, settings
    finally:
        await asyncio.to_thread(stack.down)


async def test_nothing_acknowledged_is_lost_and_order_holds_when_the_broker_is_killed(
    own_broker: tuple[LocalStack, Settings],
) -> None:
    stack, settings = own_broker
    writer = PartitionWriter(settings, 0, on_lost=lambda _: None)
    await writer.start()
    acknowledgements = [writer.append(text(number)) for number in range(1, 101)]
    await acknowledgements[-1]
    (pid,) = (service.pid for service in stack.status() if service.name == "kafka")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    acknowledgements += [writer.append(text(number)) for number in range(101, 201)]
    await asyncio.to_thread(stack.up)
    acknowledgements += [writer.append(text(number)) for number in range(201, 301)]
    await asyncio.wait_for(asyncio.gather(*acknowledgements), 60)
    await writer.close()
    sequences = await written(settings, 0)
    firsts = list(dict.fromkeys(sequences))
    assert firsts == list(range(1, 301))
