"""Writes text events of running answers to `conversation-events` at a fixed rate, as a runner would.

A process of its own: `python -m bench.sse_events --rate R --seconds S --conversations N` prepares the conversations,
prints their ids on one JSON line, waits for a line, and writes. Each text holds `at=<ns> n=<number> ` and is padded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import uvloop
from aiokafka import AIOKafkaProducer

from polylogue.infra.kafka import idempotent_producer, partition_for
from polylogue.infra.postgres import create_pool
from polylogue.infra.settings import Settings, load_settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas import events
from polylogue.schemas.base import Payload
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import ResponseSlot

PAD = 100  # with the names of a frame some 400 bytes on the wire
TICK_S = 0.002


class Answer:
    """One conversation with one response that never ends."""

    def __init__(self, number: int, run: str) -> None:
        self.conversation_id = f"{run}{number:024x}"
        self.turn_id = f"{run}{number:024x}"
        self.response_id = f"{self.turn_id}-1"
        self.sequence = 1
        self.key = self.conversation_id.encode()

    def opening(self) -> list[Event]:
        slot = ResponseSlot(response_id=self.response_id, model="sim/text")
        return [
            self._event(events.ConversationStarted(title="bench")),
            self._event(events.PromptSubmitted(prompt="bench", responses=(slot,))),
            self._said(events.ResponseStarted(model="sim/text")),
        ]

    def text(self, number: int) -> bytes:
        said = events.TextAppended(text=f"at={time.time_ns()} n={number} {'x' * PAD}")
        return event_codec.encode(self._said(said))

    def _said(self, data: Payload) -> Event:
        self.sequence += 1
        return self._event(data, response=True)

    def _event(self, data: Payload, *, response: bool = False) -> Event:
        return Event(
            event_id=f"{self.response_id}.1.{self.sequence}",
            conversation_id=self.conversation_id,
            owner_id="local",
            occurred_at=rfc3339(),
            turn_id=self.turn_id,
            response_id=self.response_id if response else None,
            attempt=1 if response else None,
            sequence=self.sequence if response else None,
            command_offset=None if response else 1,
            data=data,
        )


async def prepare(
    settings: Settings, answers: list[Answer], partitions: int, producer: AIOKafkaProducer
) -> None:
    """Begins the conversations, and tells the tables of them as their projection would."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    pool = create_pool(settings)
    await pool.open()
    try:
        for answer in answers:
            place = partition_for(answer.conversation_id, partitions)
            offsets = [
                (
                    await producer.send_and_wait(
                        topic, event_codec.encode(event), key=answer.key, partition=place
                    )
                ).offset
                for event in answer.opening()
            ]
            async with pool.connection() as connection:
                await connection.execute(
                    """INSERT INTO conversations (conversation_id, owner_id, title, pinned, "partition", first_offset,
                           last_turn_id, turn_running, deleted, created_at, updated_at)
                       VALUES (%s, 'local', 'bench', false, %s, %s, %s, true, false, now(), now())""",
                    (answer.conversation_id, place, offsets[0], answer.turn_id),
                )
                await connection.execute(
                    """INSERT INTO conversation_turns (turn_id, conversation_id, owner_id, prompt, round, start_offset,
                           finished, created_at) VALUES (%s, %s, 'local', 'bench', 1, %s, false, now())""",
                    (answer.turn_id, answer.conversation_id, offsets[0]),
                )
    finally:
        await pool.close()


async def write(
    settings: Settings,
    answers: list[Answer],
    partitions: int,
    producer: AIOKafkaProducer,
    *,
    rate: float,
    seconds: float,
) -> int:
    topic = topic_name(settings, CONVERSATION_EVENTS)
    places = [partition_for(answer.conversation_id, partitions) for answer in answers]
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        for _ in range(int(passed * rate) - sent):
            which = sent % len(answers)
            answer = answers[which]
            await producer.send(
                topic, answer.text(sent // len(answers) + 1), key=answer.key, partition=places[which]
            )
            sent += 1
        await asyncio.sleep(TICK_S if rate > 200 else min(TICK_S * 5, 1 / rate))
    await producer.flush()
    return sent


async def run(rate: float, seconds: float, conversations: int, partitions: int, run_id: str) -> None:
    settings = load_settings()
    answers = [Answer(number, run_id) for number in range(1, conversations + 1)]
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        await prepare(settings, answers, partitions, producer)
        print(json.dumps([answer.conversation_id for answer in answers]), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        cpu = time.process_time()
        sent = await write(settings, answers, partitions, producer, rate=rate, seconds=seconds)
        print(json.dumps({"sent": sent, "cpu_s": time.process_time() - cpu}), flush=True)
    finally:
        await producer.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.sse_events", description=__doc__)
    arguments.add_argument("--rate", type=float, required=True, help="events a second of all conversations")
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--conversations", type=int, default=1)
    arguments.add_argument("--partitions", type=int, required=True)
    arguments.add_argument("--run", required=True, help="eight hexadecimal digits that no earlier run had")
    chosen = arguments.parse_args()
    uvloop.run(run(chosen.rate, chosen.seconds, chosen.conversations, chosen.partitions, chosen.run))


if __name__ == "__main__":
    main()
