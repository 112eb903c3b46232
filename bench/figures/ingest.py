"""How many text events a runner's writer brings into the log, beside a bare producer that sends the same records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench import chunks
from bench.figure import RUNS, Figure, Series, Table, Target
from bench.processes import local_servers
from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import TextAppended
from polylogue.streams.partition_writer import PartitionWriter
from polylogue.streams.response_log import ResponseLog

EVENTS = 20_000
QUICK_EVENTS = 2_000
DRAIN_EVERY = 20  # events between two waits for room, about what one read of a socket brings
PRODUCER, APPENDING, RESPONDING = range(3)  # each writes to a partition of its own
BATCH_BYTES = 256 * 1024  # as the writer has it
WANTED = Target(0.5, at_most=False)
CONVERSATION = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
TURN = "f0e1d2c3b4a5968778695a4b3c2d1e0f"


@dataclass(frozen=True)
class Speed:
    per_second: float
    per_cpu_second: float


def text_event(number: int, word: str) -> Event:
    return Event(
        event_id=f"{TURN}-1.1.{number}",
        conversation_id=CONVERSATION,
        turn_id=TURN,
        response_id=f"{TURN}-1",
        owner_id="local",
        occurred_at=rfc3339(),
        attempt=1,
        sequence=number,
        causation_id=TURN,
        data=TextAppended(text=word),
    )


async def run(quick: bool) -> list[Series]:
    table = Table()
    count = QUICK_EVENTS if quick else EVENTS
    words = chunks.words(count)
    events = [text_event(number, word) for number, word in enumerate(words, start=1)]
    with local_servers("kafka") as settings:
        await apply_topics(settings, partitions=3)
        for turn in range(1 if quick else RUNS + 1):
            bare = await _bare(settings, events)
            appended = await _appended(settings, events)
            responded = await _responded(settings, words)
            if turn == 0 and not quick:
                continue  # the broker's first records are its slowest
            for name, speed in (
                ("bare producer", bare),
                ("PartitionWriter", appended),
                ("ResponseLog and PartitionWriter", responded),
            ):
                table.add(f"{name}, per CPU-second of the process", "events/s", speed.per_cpu_second)
                table.add(f"{name}, by the clock", "events/s", speed.per_second)
            per_core = appended.per_cpu_second / bare.per_cpu_second
            table.add("PartitionWriter over bare producer, per CPU-second", "×", per_core, WANTED)
            table.add(
                "PartitionWriter over bare producer, by the clock", "×", appended.per_second / bare.per_second
            )
            whole = responded.per_cpu_second / bare.per_cpu_second
            table.add("with ResponseLog over bare producer, per CPU-second", "×", whole)
    return table.series()


async def _bare(settings: Settings, events: Sequence[Event]) -> Speed:
    """The records are encoded beforehand: a producer alone has nothing to encode."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    records = [(event.conversation_id.encode(), event_codec.encode(event)) for event in events]
    producer = idempotent_producer(settings, max_batch_size=BATCH_BYTES)
    await producer.start()

    async def send() -> None:
        for key, value in records:
            await producer.send(topic, value, key=key, partition=PRODUCER)
        await producer.flush()

    try:
        return await _speed(send, len(records))
    finally:
        await producer.stop()


async def _appended(settings: Settings, events: Sequence[Event]) -> Speed:
    writer = PartitionWriter(settings, APPENDING, on_lost=lambda _: None)
    await writer.start()

    async def append() -> None:
        for number, event in enumerate(events):
            writer.append(event)
            if number % DRAIN_EVERY == 0:
                await writer.drain()
        await writer.flush()

    try:
        return await _speed(append, len(events))
    finally:
        await writer.close()


async def _responded(settings: Settings, words: Sequence[str]) -> Speed:
    """As the runner does it, every delta an event of its own: that nothing is joined is the worst case."""
    writer = PartitionWriter(settings, RESPONDING, on_lost=lambda _: None)
    await writer.start()
    command = Command(
        command_id=TURN,
        conversation_id=CONVERSATION,
        turn_id=TURN,
        owner_id="local",
        issued_at=rfc3339(),
        first_sent_at_ms=now_ms(),
        data=StartTurn(prompt="?", responses=()),
    )
    log = ResponseLog(writer, command, f"{TURN}-1", attempt=1, sequence=0, coalesce_s=0)

    async def respond() -> None:
        for number, word in enumerate(words):
            log.text(word)
            if number % DRAIN_EVERY == 0:
                await writer.drain()
        await writer.flush()

    try:
        return await _speed(respond, len(words))
    finally:
        await writer.close()


async def _speed(work: Callable[[], Awaitable[None]], count: int) -> Speed:
    await asyncio.sleep(0)
    begun, cpu = time.perf_counter(), time.process_time()
    await work()
    return Speed(count / (time.perf_counter() - begun), count / (time.process_time() - cpu))


FIGURE = Figure(
    "ingest",
    "From `PartitionWriter.append` of the first text event to the acknowledgement of the last, encoding included, "
    "beside an idempotent aiokafka producer that sends the same encoded records to the same topic. Per CPU-second: "
    "of the sending process alone, without the broker.",
    run,
)
