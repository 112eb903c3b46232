"""An idempotent producer with a deadline on every send, replaced when it has wedged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

SEND_TIMEOUT_S = 10.0  # an idempotent send never expires by itself, and a wedged producer answers nothing
CLOSE_TIMEOUT_S = 5.0
PAUSE_S = 0.5  # between two attempts while no broker answers

log = get_logger(__name__)


class ProducerUnusableError(Exception):
    """Nothing could be written for as long as the caller may wait."""


class ReplaceableProducer:
    """Delivers at least once: what was sent by a producer that is given up may have arrived all the same."""

    def __init__(
        self, settings: Settings, *, give_up_after_s: float = 120.0, max_batch_bytes: int = 16 * 1024
    ) -> None:
        self._settings = settings
        self._max_batch_bytes = max_batch_bytes
        self._give_up_after_s = give_up_after_s  # outlasts a broker that is stopped for 90 s
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connects, so that the first send is not the one that waits. Raises KafkaError."""
        await self._current()

    async def stop(self) -> None:
        async with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Returns the record's offset when it is acknowledged. Raises ProducerUnusableError."""
        deadline = time.monotonic() + self._give_up_after_s
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    producer = await self._current()
                    record = await producer.send_and_wait(
                        topic, value, key=key, partition=partition, headers=list(headers)
                    )
                    return int(record.offset)
            except (KafkaError, TimeoutError) as error:
                log.warning("kafka_send_failed", topic=topic, error=type(error).__name__)
                await self._replace(producer)
                if time.monotonic() >= deadline:
                    raise ProducerUnusableError(
                        f"{topic} took no record for {self._give_up_after_s:.0f} s ({type(error).__name__})"
                    ) from error
            await asyncio.sleep(PAUSE_S)

    async def _current(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = idempotent_producer(self._settings, max_batch_size=self._max_batch_bytes)
                try:
                    await producer.start()
                except BaseException:  # a cancelled start too leaves tasks behind
                    await _close(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _replace(self, wedged: AIOKafkaProducer | None) -> None:
        """Only the first of several callers that saw the same producer fail closes it."""
        async with self._lock:
            if wedged is None or self._producer is not wedged:
                return
            self._producer = None
        await _close(wedged)


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        # Stopping flushes first, which a wedged producer never ends.
        await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)
    except (KafkaError, TimeoutError) as error:
        log.warning("kafka_producer_abandoned", error=type(error).__name__)
