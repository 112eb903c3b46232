"""What a test does with the log directly: sends commands, waits for events, reduces them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition

from polylogue.infra.kafka import idempotent_producer, manual_consumer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, CONVERSATION_EVENTS, MEDIA_REQUESTS, Topic, topic_name
from polylogue.schemas.base import Payload
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import command_codec, event_codec, request_codec
from polylogue.schemas.commands import CancelTurn, StartTurn
from polylogue.schemas.envelope import Command, Event, Request
from polylogue.schemas.events import ResponseSlot
from polylogue.schemas.visibility import ConversationState, RoundCompleted, admit
from polylogue.streams.log_reader import read_to_end

PARTITIONS = 3  # of commands and events in `prepared`


class Log:
    """The log of one test, as somebody outside the system sees it."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.producer = producer

    async def send(self, topic: Topic, value: bytes, *, key: str = "", partition: int | None = None) -> int:
        """Returns the offset."""
        record = await self.producer.send_and_wait(
            topic_name(self.settings, topic), value, key=key.encode(), partition=partition
        )
        return int(record.offset)

    async def command(self, command: Command) -> int:
        partition = partition_for(command.conversation_id, PARTITIONS)
        return await self.send(
            COMMANDS, command_codec.encode(command), key=command.conversation_id, partition=partition
        )

    async def start_turn(
        self, *models: str, prompt: str = "Draw a red circle", conversation: str = ""
    ) -> Command:
        command = start_turn(*models, prompt=prompt, conversation=conversation)
        await self.command(command)
        return command

    async def cancel(self, turn: Command, *response_ids: str) -> None:
        await self.command(
            _command(CancelTurn(response_ids=response_ids), turn.conversation_id, turn.turn_id)
        )

    async def tell(self, data: Payload, conversation_id: str, turn_id: str = "") -> Command:
        command = _command(data, conversation_id, turn_id)
        await self.command(command)
        return command

    async def requests(self) -> list[Request]:
        """Every record of `media-requests` as it stands, partition by partition."""
        found = []
        for partition in range(MEDIA_REQUESTS.partitions):
            topic = topic_name(self.settings, MEDIA_REQUESTS)
            async for record in read_to_end(self.settings, topic, partition, offset=0):
                request = request_codec.decode(record.value)
                assert isinstance(request, Request)
                found.append(request)
        return found

    async def events(self, conversation_id: str) -> list[Event]:
        """Every event of the conversation as it stands in the log, duplicates included."""
        return [event for _, event in await self._placed(conversation_id)]

    async def visible(self, conversation_id: str) -> list[Event]:
        state = ConversationState()
        return [
            event
            for offset, event in await self._placed(conversation_id)
            if admit(state, event, offset).visible
        ]

    async def completed(self, conversation_id: str) -> list[RoundCompleted]:
        state = ConversationState()
        verdicts = [admit(state, event, offset) for offset, event in await self._placed(conversation_id)]
        return [verdict.completed for verdict in verdicts if verdict.completed]

    async def wait_for(
        self,
        conversation_id: str,
        condition: Callable[[list[Event]], bool],
        what: str,
        *,
        within_s: float = 30,
    ) -> list[Event]:
        """The visible events as soon as they fulfil the condition; raises TimeoutError that names it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            events = await self.visible(conversation_id)
            if condition(events):
                return events
            if loop.time() > deadline:
                seen = [type(event.data).__name__ for event in events]
                raise TimeoutError(f"not within {within_s:g} s: {what}; seen: {seen}")
            await asyncio.sleep(0.05)

    async def one_of(self, conversation_id: str, *kinds: type[Payload], within_s: float = 30) -> list[Event]:
        """The visible events as soon as one of them is of these kinds."""
        what = " or ".join(kind.__name__ for kind in kinds)
        return await self.wait_for(
            conversation_id, lambda seen: bool(of_type(seen, *kinds)), what, within_s=within_s
        )

    async def _placed(self, conversation_id: str) -> list[tuple[int, Event]]:
        partition = partition_for(conversation_id, PARTITIONS)
        place = TopicPartition(topic_name(self.settings, CONVERSATION_EVENTS), partition)
        consumer = manual_consumer(self.settings)
        await consumer.start()
        try:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, 0)
            placed = []
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                    event = event_codec.decode(record.value)
                    if isinstance(event, Event) and event.conversation_id == conversation_id:
                        placed.append((record.offset, event))
            return placed
        finally:
            await consumer.stop()


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[Log]:
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        yield Log(settings, producer)
    finally:
        await producer.stop()


def start_turn(*models: str, prompt: str = "Draw a red circle", conversation: str = "") -> Command:
    turn_id = uuid.uuid4().hex
    slots = tuple(
        ResponseSlot(response_id=f"{turn_id}-{n}", model=model) for n, model in enumerate(models, 1)
    )
    data = StartTurn(prompt=prompt, responses=slots, new_conversation=not conversation)
    return _command(data, conversation or uuid.uuid4().hex, turn_id)


def _command(data: Payload, conversation_id: str, turn_id: str) -> Command:
    return Command(
        command_id=uuid.uuid4().hex,
        conversation_id=conversation_id,
        turn_id=turn_id,
        owner_id="local",
        issued_at=rfc3339(),
        first_sent_at_ms=now_ms(),
        data=data,
    )


def of_type(events: list[Event], *payloads: type[Payload]) -> list[Event]:
    return [event for event in events if isinstance(event.data, payloads)]
