"""Writes the events of a turn as a runner would, so that readers can be tested without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from polylogue.infra.kafka import client_options, idempotent_producer, manual_consumer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, CONVERSATION_EVENTS, topic_name
from polylogue.schemas import events
from polylogue.schemas.base import Payload
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import command_codec, event_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.envelope import Command, Event
from tests.support.claims import claim_of, one_record

AT_MS = 1_790_000_000_000


@dataclass
class Script:
    """The events of one StartTurn in the order in which they are made; `sequence` counts per response."""

    command: Command
    command_offset: int = 0
    _sequences: dict[str, int] = field(default_factory=dict)

    @property
    def start(self) -> StartTurn:
        assert isinstance(self.command.data, StartTurn)
        return self.command.data

    def opening(self) -> Iterator[Event]:
        if self.start.new_conversation:
            started = events.ConversationStarted(title=self.start.title or "", parent=self.start.parent)
            yield self._event("conversation", started)
        prompt = events.PromptSubmitted(
            prompt=self.start.prompt,
            responses=self.start.responses,
            round=self.start.round,
            system=self.start.system,
            attachments=self.start.attachments,
        )
        yield self._event("prompt", prompt)
        for slot in self.start.responses:
            yield self.said(slot.response_id, events.ResponseStarted(model=slot.model))

    def said(self, response_id: str, data: Payload, *, attempt: int = 1) -> Event:
        sequence = self._sequences[response_id] = self._sequences.get(response_id, 0) + 1
        name = f"{response_id}.{attempt}.{sequence}"
        return self._event(name, data, response_id=response_id, attempt=attempt, sequence=sequence)

    def answer(self, response_id: str, *texts: str) -> Iterator[Event]:
        for text in texts:
            yield self.said(response_id, events.TextAppended(text=text))
        yield self.said(response_id, events.ResponseCompleted(finish_reason="stop", cost_usd_micros=1500))

    def produced(self, response_id: str, media_id: str) -> Event:
        claim = claim_of(
            media_id,
            conversation_id=self.command.conversation_id,
            turn_id=self.command.turn_id,
            response_id=response_id,
            owner_id=self.command.owner_id,
            segments=one_record(),
        )
        return self.said(response_id, events.MediaProduced(claim=claim))

    def validated(self, response_id: str, media_id: str) -> Event:
        data = events.MediaValidated(
            media_id=media_id,
            media_type="image",
            format="png",
            content_type="image/png",
            size_bytes=7,
            width=2,
            height=3,
        )
        return self._event(f"{media_id}.MediaValidated.0", data, response_id=response_id)

    def stored(self, response_id: str, media_id: str) -> Event:
        data = events.MediaStored(
            media_id=media_id,
            media_type="image",
            key=f"media/image/{self.command.conversation_id}/sim%2Fpainter/20260101_{media_id}.png",
            url="https://example.invalid/unsigned.png",
            format="png",
            content_type="image/png",
            size_bytes=7,
            sha256="0" * 64,
            width=2,
            height=3,
        )
        return self._event(f"{media_id}.MediaStored.0", data, response_id=response_id)

    def renditions(self, response_id: str, media_id: str) -> Event:
        data = events.MediaRenditionsStored(media_id=media_id, media_type="image", renditions=())
        return self._event(f"{media_id}.MediaRenditionsStored.0", data, response_id=response_id)

    def _event(
        self,
        name: str,
        data: Payload,
        *,
        response_id: str | None = None,
        attempt: int | None = None,
        sequence: int | None = None,
    ) -> Event:
        return Event(
            event_id=name,
            conversation_id=self.command.conversation_id,
            owner_id=self.command.owner_id,
            occurred_at=rfc3339(AT_MS),
            turn_id=self.command.turn_id,
            response_id=response_id,
            attempt=attempt,
            sequence=sequence,
            command_offset=None if response_id else self.command_offset,
            data=data,
        )


class Wire:
    """Reads commands and writes events on the real topics."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events = topic_name(settings, CONVERSATION_EVENTS)
        self._commands = topic_name(settings, COMMANDS)
        self._producer: AIOKafkaProducer = idempotent_producer(settings)
        self._consumer: AIOKafkaConsumer = manual_consumer(settings)
        self.headers: dict[str, bytes] = {}  # of the command read last

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        places = [TopicPartition(self._commands, number) for number in range(3)]
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def command(self) -> tuple[Command, int]:
        """The next command of any partition, and its offset."""
        record = await self._consumer.getone()
        self.headers = dict(record.headers)
        command = command_codec.decode(record.value)
        assert isinstance(command, Command)
        assert record.key == command.conversation_id.encode()
        return command, record.offset

    async def skip(self) -> None:
        """Passes over all commands so far: what an earlier test has left."""
        places = list(self._consumer.assignment())
        for place, end in (await self._consumer.end_offsets(places)).items():
            self._consumer.seek(place, end)

    async def waiting_commands(self) -> int:
        """How many commands lie beyond those read so far."""
        places = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(places)
        return sum([ends[place] - await self._consumer.position(place) for place in places])

    async def script(self) -> Script:
        command, offset = await self.command()
        return Script(command, offset)

    async def write(self, *written: Event) -> None:
        for event in written:
            await self.write_raw(event.conversation_id, event_codec.encode(event))

    async def write_raw(self, conversation_id: str, value: bytes | None) -> int:
        record = await self._producer.send_and_wait(
            self._events, value, key=conversation_id.encode(), partition=partition_for(conversation_id, 3)
        )
        return int(record.offset)

    async def write_in_transaction(self, written: list[Event], *, commit: bool) -> None:
        """Leaves a marker behind the events, which readers without isolation see in either case."""
        name = f"{self._settings.kafka_topic_prefix}test"
        producer: AIOKafkaProducer = idempotent_producer(self._settings, transactional_id=name)
        await producer.start()
        try:
            await producer.begin_transaction()
            for event in written:
                key = event.conversation_id
                await producer.send_and_wait(
                    self._events,
                    event_codec.encode(event),
                    key=key.encode(),
                    partition=partition_for(key, 3),
                )
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()

    async def delete_before(self, conversation_id: str, offset: int) -> None:
        """What retention would do to a conversation's partition."""
        place = TopicPartition(self._events, partition_for(conversation_id, 3))
        admin = AIOKafkaAdminClient(**client_options(self._settings))
        await admin.start()
        try:
            await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
        finally:
            await admin.close()
