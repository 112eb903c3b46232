"""What a partition's owner reads of the two logs: commands that can be carried out, and what has come of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.codec import Garbage, NewerVersion, command_codec, event_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.envelope import Command, Event
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.dead_letters import DeadLetters, SourceRecord
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.takeover_plan import PlacedCommand, PlacedEvent

LOOK_BACK_MS = 60_000  # clocks and queues: events of a command are never older than the command by this much
RETRY_S = 1.0

_log = get_logger(__name__)


class PartitionReader:
    def __init__(self, settings: Settings, partition: int, dead_letters: DeadLetters) -> None:
        self.given_up = False  # set by the owner: nobody needs an answer any more
        self._settings = settings
        self._partition = partition
        self._dead_letters = dead_letters
        self._events_topic = topic_name(settings, CONVERSATION_EVENTS)

    async def command(self, record: ConsumerRecord[bytes, bytes]) -> PlacedCommand | None:
        """The command of a record; what cannot be read goes to the dead letters."""
        decoded = command_codec.decode(record.value)
        if isinstance(decoded, Command):
            return PlacedCommand(record.offset, record.timestamp, decoded)
        if isinstance(decoded, NewerVersion) and (start := newer_start(decoded)) is not None:
            return PlacedCommand(record.offset, record.timestamp, start, unsupported=True)
        reason = (
            decoded.reason if isinstance(decoded, Garbage) else f"{decoded.type} is not known to this version"
        )
        metrics.DEAD_LETTERS.inc()
        source = SourceRecord(record.topic, record.partition, record.offset, record.key, record.value)
        await self._dead_letters.bury(source, reason)
        return None

    async def events(self, from_ms: int) -> AsyncGenerator[PlacedEvent]:
        """Those from a time (Unix ms) up to the end as it is now. Raises KafkaError or OSError."""
        records = read_to_end(self._settings, self._events_topic, self._partition, from_ms=from_ms)
        async with contextlib.aclosing(records):
            async for record in records:
                event = event_codec.decode(record.value)
                if isinstance(event, Event):
                    yield PlacedEvent(record.offset, record.timestamp, event)

    async def was_carried_out(self, command: Command) -> bool:
        """Whether the events of a command that may be here twice are in the log already. Asks until it is told."""
        while True:
            try:
                return await self._look_up(command)
            except (KafkaError, TimeoutError, OSError) as error:
                _log.warning("look_up_delayed", partition=self._partition, error=type(error).__name__)
                if self.given_up:
                    raise PartitionLostError(f"partition {self._partition} is another runner's") from error
                await asyncio.sleep(RETRY_S)

    async def _look_up(self, command: Command) -> bool:
        events = self.events(command.first_sent_at_ms - LOOK_BACK_MS)
        async with contextlib.aclosing(events):
            async for placed in events:
                if comes_from(placed.event, command):
                    return True
        return False


def comes_from(event: Event, command: Command) -> bool:
    return event.command_offset is not None and event.causation_id == command.command_id


def newer_start(newer: NewerVersion) -> Command | None:
    """A StartTurn of a newer version as far as this version understands it: enough to end its responses visibly."""
    if newer.type != StartTurn.__name__:
        return None
    try:
        data = msgspec.convert(newer.envelope["data"], StartTurn)
        command = msgspec.convert(newer.envelope | {"data": {}}, Command)
    except msgspec.ValidationError:
        return None
    return msgspec.structs.replace(command, data=data)
