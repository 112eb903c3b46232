"""Puts a record that cannot be processed on its topic's `-dlq`, with the reason and where it came from."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import Topic, topic_name

SEND_WITHIN_S = 10.0  # then the producer counts as wedged and is replaced
PAUSE_S = 0.5

_log = get_logger(__name__)


class DeadLetters:
    """Writes to one dead-letter topic. `send` returns once Kafka has the record, so that its source may be passed."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._settings = settings
        self._topic = topic_name(settings, topic)
        self._producer: AIOKafkaProducer | None = None
        self._sending = asyncio.Lock()

    async def send(
        self, value: bytes | None, *, key: bytes | None, topic: str, partition: int, offset: int, reason: str
    ) -> None:
        """Keeps the original bytes; the source position is unique, so a repetition is recognised by it."""
        headers = [
            ("reason", reason.encode()),
            ("source_topic", topic.encode()),
            ("source_partition", str(partition).encode()),
            ("source_offset", str(offset).encode()),
        ]
        async with self._sending:
            while True:
                try:
                    producer = await self._current()
                    sending = producer.send_and_wait(self._topic, value or b"", key=key, headers=headers)
                    await asyncio.wait_for(sending, SEND_WITHIN_S)
                except (KafkaError, TimeoutError, OSError) as error:
                    _log.warning("dead_letter_delayed", topic=self._topic, error=type(error).__name__)
                    await self._discard()
                    await asyncio.sleep(PAUSE_S)
                    continue
                break
        _log.error("dead_letter", topic=topic, partition=partition, offset=offset, reason=reason)

    async def close(self) -> None:
        await self._discard()

    async def _current(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = idempotent_producer(self._settings)
            try:
                await asyncio.wait_for(producer.start(), SEND_WITHIN_S)
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(producer.stop(), PAUSE_S * 4)
