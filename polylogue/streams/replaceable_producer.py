"""An idempotent producer with a deadline on every send, replaced when it has wedged."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

SEND_TIMEOUT_S = 10.0  # an idempotent send never expires by itself, and a wedged producer answers nothing
CLOSE_TIMEOUT_S = 5.0
PAUSE_S = 0.5  # between two attempts while no broker answers
# Of records that are sent in order: one on its way, one ready to follow, one that waits for room.
UNDER_WAY = 3

Headers = Sequence[tuple[str, bytes]]
RecordOf = Callable[[int], tuple[bytes | None, Headers]]

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
        self._unheeded: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects, so that the first send is not the one that waits. Raises KafkaError."""
        await self._current()

    async def stop(self) -> None:
        """What nobody waits for is left to its luck."""
        for task in self._unheeded:
            task.cancel()
        await asyncio.gather(*self._unheeded, return_exceptions=True)
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
        headers: Headers = (),
    ) -> int:
        """Returns the record's offset when it is acknowledged. Raises ProducerUnusableError."""
        offsets = await self.send_in_order(topic, 1, lambda _: (value, headers), key=key, partition=partition)
        return offsets[0]

    def send_unheeded(
        self, topic: str, value: bytes, *, key: bytes | None, partition: int | None = None
    ) -> None:
        """Sends it once, for what it is worth: it may not arrive, and nobody is told. What is sent to the partition
        after it lies after it, unless the producer had no room."""
        if self._producer is not None:
            task = asyncio.create_task(_sent_once(self._producer, topic, value, key, partition))
            self._unheeded.add(task)
            task.add_done_callback(self._unheeded.discard)

    async def send_in_order(
        self,
        topic: str,
        count: int,
        record: RecordOf,
        *,
        key: bytes | None,
        partition: int | None,
        acknowledged: Callable[[], None] = lambda: None,
    ) -> list[int]:
        """Sends the records of the numbers from 0, the next ones while the last ones are on their way, and returns their
        offsets when all are acknowledged. Raises ProducerUnusableError.

        They lie in their order; after a failure all from the first unacknowledged one on are sent again, so that some
        may lie there twice. `acknowledged` is called after each.
        """
        if self._unheeded:
            await asyncio.sleep(0)  # so that they are on their way first
        offsets: list[int] = []
        deadline = time.monotonic() + self._give_up_after_s
        while True:
            producer: AIOKafkaProducer | None = None
            known = len(offsets)
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S) as limit:
                    producer = await self._current()
                    async for offset in _sent(producer, topic, range(known, count), record, key, partition):
                        offsets.append(offset)
                        acknowledged()
                        limit.reschedule(asyncio.get_running_loop().time() + SEND_TIMEOUT_S)
                    return offsets
            except (KafkaError, TimeoutError) as error:
                log.warning("kafka_send_failed", topic=topic, error=type(error).__name__)
                await self._replace(producer)
                if len(offsets) > known:
                    deadline = time.monotonic() + self._give_up_after_s
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


async def _sent(  # noqa: PLR0917 (what a send takes)
    producer: AIOKafkaProducer,
    topic: str,
    numbers: range,
    record: RecordOf,
    key: bytes | None,
    partition: int | None,
) -> AsyncIterator[int]:
    """The offsets, in order, as they are acknowledged. Raises KafkaError."""
    under_way: deque[asyncio.Future[RecordMetadata]] = deque()
    try:
        for number in numbers:
            value, headers = record(number)
            # One after another: sends that wait for room in a producer overtake each other.
            under_way.append(
                await producer.send(topic, value, key=key, partition=partition, headers=list(headers))
            )
            if len(under_way) == UNDER_WAY:
                yield int((await under_way[0]).offset)
                under_way.popleft()
        while under_way:
            yield int((await under_way[0]).offset)
            under_way.popleft()
    finally:
        for sent in under_way:
            if not sent.cancel() and not sent.cancelled():
                sent.exception()  # nobody waits for it; the loop need not complain


async def _sent_once(
    producer: AIOKafkaProducer, topic: str, value: bytes, key: bytes | None, partition: int | None
) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await (await producer.send(topic, value, key=key, partition=partition))
    except (KafkaError, TimeoutError) as error:
        log.info("kafka_notice_lost", topic=topic, error=type(error).__name__)


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        # Stopping flushes first, which a wedged producer never ends.
        await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)
    except (KafkaError, TimeoutError) as error:
        log.warning("kafka_producer_abandoned", error=type(error).__name__)
