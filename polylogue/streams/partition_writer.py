"""The one writer of a partition of `conversation-events`; the broker sees to it that there is only one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from polylogue.infra.crash_points import crash_point
from polylogue.infra.kafka import idempotent_producer
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event

IDLE_COMMIT_S = 1.0  # the first send after a commit takes 20–40 ms, so a busy partition does not commit
LONGEST_TRANSACTION_S = 60.0  # far below the broker's time-out, so that nothing hangs
TRANSACTION_TIMEOUT_MS = 300_000
ACKNOWLEDGE_WITHIN_S = 20.0  # a batch that is not acknowledged by then means that the producer is wedged
REPLACE_PAUSE_S = 0.5
BATCH_BYTES = 256 * 1024  # a larger event goes alone
BACKLOG = 1000  # records waiting for acknowledgement above which writers are asked to wait
BACKLOG_BYTES = 8 * 1024 * 1024

_log = get_logger(__name__)


class PartitionLostError(Exception):
    """Another writer has taken the partition over; nothing may be written to it any more."""


@dataclass(slots=True)
class _Pending:
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    acknowledged: asyncio.Future[int]  # timestamp of the record, Unix ms


class PartitionWriter:
    """Appends events to one partition, in order, under a transactional id of that partition.

    The transaction is a fence, not a unit: starting a writer fences the former one of the same partition, wherever it
    runs, and readers read uncommitted. `append` never waits; writers of much text call `drain` now and then.

    One batch is under way at a time, and the next one holds whatever came meanwhile: a lonely event leaves at once,
    and under load one future of aiokafka's serves hundreds of events (measured by `bench ingest`).
    """

    def __init__(self, settings: Settings, partition: int, *, on_lost: Callable[[int], None]) -> None:
        self.partition = partition
        self.lost = False
        self.in_transaction = False
        self._settings = settings
        self._topic = topic_name(settings, CONVERSATION_EVENTS)
        self._on_lost = on_lost
        self._producer: AIOKafkaProducer | None = None
        self._pending: deque[_Pending] = deque()  # unacknowledged, in order; the batch under way stands first
        self._pending_bytes = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Fences every former writer of the partition. Raises KafkaError or OSError where the broker is away."""
        self._producer = await self._start_producer()
        self._task = asyncio.create_task(self._write(), name=f"writer-{self.partition}")

    def append(self, event: Event) -> asyncio.Future[int]:
        """Queues an event; the future gives the record's timestamp (Unix ms) once Kafka has acknowledged it.

        Raises PartitionLostError, also through the future; nobody has to await it.
        """
        if self.lost or self._closing:
            raise PartitionLostError(f"partition {self.partition} is written by another runner")
        item = _Pending(
            event.conversation_id.encode(),
            event_codec.encode(event),
            [("traceparent", event.traceparent.encode())] if event.traceparent else [],
            self._loop.create_future(),
        )
        self._pending.append(item)
        self._pending_bytes += len(item.value)
        if len(self._pending) > BACKLOG or self._pending_bytes > BACKLOG_BYTES:
            self._room.clear()
        self._work.set()
        return item.acknowledged

    async def drain(self) -> None:
        """Waits while too much is unacknowledged, so that a slow broker slows the reading of the gateway."""
        await self._room.wait()

    async def flush(self) -> None:
        """Waits until all that was appended before is acknowledged. Raises PartitionLostError."""
        if self._pending:
            await asyncio.shield(self._pending[-1].acknowledged)

    async def close(self) -> None:
        """Commits and ends. Waits for what is unacknowledged at most as long as a wedge is allowed to last."""
        if self._task is None:
            return
        if not self.lost:
            with contextlib.suppress(PartitionLostError, TimeoutError):
                await asyncio.wait_for(self.flush(), ACKNOWLEDGE_WITHIN_S)
        self._closing = True
        self._work.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._task), ACKNOWLEDGE_WITHIN_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def abandon(self) -> None:
        """Writes nothing more and commits nothing: the partition is another runner's."""
        if not self.lost:
            self._lose()
        self._work.set()

    async def _start_producer(self) -> AIOKafkaProducer:
        producer = idempotent_producer(
            self._settings,
            transactional_id=f"{self._settings.kafka_topic_prefix}polylogue-runner-{self.partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        return producer

    async def _write(self) -> None:
        while not self.lost:
            try:
                await self._write_with(self._producer)
                break
            # aiokafka asserts where a producer is used whose background task has died.
            except (KafkaError, TimeoutError, OSError, AssertionError) as error:
                if _is_fence(error):
                    self._lose()
                    break
                _log.warning("producer_replaced", partition=self.partition, error=type(error).__name__)
                await self._replace_producer()
        if self._producer is not None:
            await _stop(self._producer)

    async def _write_with(self, producer: AIOKafkaProducer | None) -> None:
        """Writes until closed. Any error of the producer ends it; the caller decides what the error means."""
        if producer is None:
            raise TimeoutError
        began_at: float | None = None
        self.in_transaction = False
        while not self.lost:
            if not self._pending:
                idle = await self._wait_for_work(began_at)
                done = self._closing and not self._pending
                if began_at is not None and (idle or done) and not self.lost:
                    await self._commit(producer)
                    began_at = None
                if done:
                    return
                continue
            if began_at is not None and self._loop.time() - began_at > LONGEST_TRANSACTION_S:
                await self._commit(producer)
                began_at = None
            if began_at is None:
                await producer.begin_transaction()
                began_at, self.in_transaction = self._loop.time(), True
                crash_point("writer.transaction_begun")
            await self._send_batch(producer)

    async def _send_batch(self, producer: AIOKafkaProducer) -> None:
        """Sends as much as one batch takes, and waits until Kafka has acknowledged it."""
        batch = producer.create_batch()
        count = 0
        for item in self._pending:
            if batch.append(key=item.key, value=item.value, timestamp=None, headers=item.headers) is None:
                break
            count += 1
        async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
            delivery = await producer.send_batch(batch, self._topic, partition=self.partition)
            crash_point("writer.sent")
            timestamp: int = (await asyncio.shield(delivery)).timestamp
        for _ in range(
            min(count, len(self._pending))
        ):  # none are left where the partition was lost meanwhile
            item = self._pending.popleft()
            self._pending_bytes -= len(item.value)
            if not item.acknowledged.done():
                item.acknowledged.set_result(timestamp)
        if len(self._pending) <= BACKLOG // 2 and self._pending_bytes <= BACKLOG_BYTES // 2:
            self._room.set()

    async def _commit(self, producer: AIOKafkaProducer) -> None:
        crash_point("writer.transaction_commit_before")
        async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
            await producer.commit_transaction()
        crash_point("writer.transaction_committed")
        self.in_transaction = False

    async def _wait_for_work(self, began_at: float | None) -> bool:
        """Waits for something to do; true where the partition has been idle with a transaction open."""
        self._work.clear()
        if self._closing or self.lost:
            return False
        try:
            async with asyncio.timeout(None if began_at is None else IDLE_COMMIT_S):
                await self._work.wait()
        except TimeoutError:
            return True
        return False

    async def _replace_producer(self) -> None:
        """Starts another producer of the same id, which ends the old one's transaction. What is unacknowledged is sent
        again, in its order and before anything new; readers drop what arrived twice."""
        replaced, self._producer = self._producer, None
        if replaced is not None:
            await _stop(replaced)
        while not self.lost:
            try:
                self._producer = await asyncio.wait_for(self._start_producer(), ACKNOWLEDGE_WITHIN_S)
                break
            except (KafkaError, TimeoutError, OSError) as error:
                _log.warning("broker_unreachable", partition=self.partition, error=type(error).__name__)
                await asyncio.sleep(REPLACE_PAUSE_S)

    def _lose(self) -> None:
        if self.lost:
            return  # given up before the broker said so: the owner knows, and may have begun anew
        self.lost = True
        _log.warning("partition_lost", partition=self.partition)
        lost = PartitionLostError(f"partition {self.partition} is written by another runner")
        for item in self._pending:
            if not item.acknowledged.done():
                item.acknowledged.set_exception(lost)
                item.acknowledged.exception()  # the owner is told as a whole; nobody has to look at each
        self._pending.clear()
        self._pending_bytes = 0
        self._room.set()
        self._on_lost(self.partition)


def _is_fence(error: BaseException) -> bool:
    """Whether an error says that another producer of the same id has started.

    Under a transaction the broker answers an old epoch in several ways, and aiokafka wraps some of them.
    """
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return any(isinstance(link, ProducerFenced | InvalidProducerEpoch) for link in chain)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stops a producer that may be broken; what it says in doing so no longer matters."""
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        await asyncio.wait_for(producer.stop(), REPLACE_PAUSE_S * 4)
