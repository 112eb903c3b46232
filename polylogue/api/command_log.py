"""Writes commands: explicitly to the conversation's partition, with a deadline, and never in doubt without saying so."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.schemas.codec import command_codec
from polylogue.schemas.envelope import Command

PROBE_S = 2.0  # a broker that answers takes milliseconds; longer is away
STOP_S = 2.0  # a producer that hangs is left to itself after so long

log = get_logger("polylogue.api.commands")


class KafkaAwayError(Exception):
    """Nothing was sent."""


class OutcomeUnknownError(Exception):
    """The command was handed over, and nobody said whether it was written."""


class CommandLog:
    """One idempotent producer, made when first needed and made anew when it may be wedged."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._producer is not None:
            self._retire(self._producer)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def probe(self) -> None:
        """Raises KafkaAwayError unless a broker answers now."""
        try:
            async with asyncio.timeout(PROBE_S):
                producer = await self._ready()
                if not await producer.client.force_metadata_update():
                    raise KafkaAwayError
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaAwayError from error

    async def send(self, command: Command, partition: int) -> int:
        """The offset of the command, once written. Raises KafkaAwayError, OutcomeUnknownError."""
        try:
            async with asyncio.timeout(PROBE_S):
                producer = await self._ready()
                written = await producer.send(
                    self._topic,
                    command_codec.encode(command),
                    key=command.conversation_id.encode(),
                    partition=partition,
                    headers=[("traceparent", command.traceparent.encode())] if command.traceparent else [],
                )
        except (KafkaError, OSError, TimeoutError) as error:
            # Raised before the record is taken over: it waits for the topic's metadata and for room.
            raise KafkaAwayError from error
        try:
            async with asyncio.timeout(self._settings.command_timeout_s):
                return int((await asyncio.shield(written)).offset)
        except (KafkaError, TimeoutError) as error:
            # An idempotent producer whose batch expired can be wedged for good.
            if self._producer is producer:
                self._producer = None
            self._retire(producer)
            written.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise OutcomeUnknownError from error

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = idempotent_producer(self._settings)
                try:
                    await producer.start()
                except BaseException:  # a cancelled start, too, leaves tasks behind
                    await producer.stop()
                    raise
                # Else a probe asks for every topic that the cluster has.
                producer.client.add_topic(self._topic)
                self._producer = producer
            return self._producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_stop(producer))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await producer.stop()
    except (KafkaError, TimeoutError) as error:
        log.warning("a producer did not stop", error=type(error).__name__)
