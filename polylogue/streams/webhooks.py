"""Tells a webhook when a round of a turn with media is done: at least once, with an id that no repetition changes.

Run it with `run_process("webhooks", settings, serve)`, in as many copies as wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from polylogue.infra.kafka import group_consumer, start_or_stop
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.streams.webhook_delivery import Deliverer
from polylogue.streams.webhook_plan import PartitionWatch

POLL_MS = 100
BATCH_RECORDS = 2000
COMMIT_INTERVAL_S = 1.0
AWAY_PAUSE_S = 1.0
ASK_TIMEOUT_S = 10.0  # one question to the broker
LEAVE_TIMEOUT_S = 3.0
MOST_UNDELIVERED = 500  # notices in memory; then reading waits for the receiver
# The first start of all tells of what is done from now on. Turns are sent as soon as the others are ready, which may
# be a moment before this process is.
FIRST_START_LOOKS_BACK_MS = 60_000

log = get_logger(__name__)


def group_id(settings: Settings) -> str:
    return f"{settings.kafka_topic_prefix}webhooks"


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Works until `stop` is set. Raises SettingsError where the webhook must not be called."""
    deliverer = Deliverer(settings)
    await Webhooks(settings, deliverer, stop, since_ms=now_ms() - FIRST_START_LOOKS_BACK_MS).run()


@dataclass
class _Owned:
    watch: PartitionWatch
    committed: int
    deliveries: set[asyncio.Task[bool]] = field(default_factory=set)


class Webhooks(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Owns what the group assigns to it, from the committed offset on, for as long as it is assigned."""

    def __init__(
        self, settings: Settings, deliverer: Deliverer, stop: asyncio.Event, *, since_ms: int
    ) -> None:
        self._settings = settings
        self._deliverer = deliverer
        self._stop = stop
        self._since_ms = since_ms
        self._topic = topic_name(settings, CONVERSATION_EVENTS)
        self._owned: dict[TopicPartition, _Owned] = {}
        self._next_commit = 0.0
        self._defect: BaseException | None = None

    async def run(self) -> None:
        consumer: AIOKafkaConsumer | None = None
        try:
            while consumer is None and not self._stop.is_set():
                consumer = await self._join()
            while consumer is not None and not self._stop.is_set():
                await self._step(consumer)
        finally:
            await self._leave(consumer)

    async def _join(self) -> AIOKafkaConsumer | None:
        consumer = group_consumer(self._settings, group_id(self._settings))
        consumer.subscribe([self._topic], listener=self)
        try:
            await start_or_stop(consumer)
        except KafkaError as error:
            await self._pause("kafka_away", error)
            return None
        log.info("webhooks_ready", group=group_id(self._settings))
        return consumer

    def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        self._forget_all()

    def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        self._forget_all()  # what was taken while the group rebalanced has lost its position

    def _forget_all(self) -> None:
        """What was not delivered is so by whoever owns the partition next."""
        for place in list(self._owned):
            self._forget(place)

    def _forget(self, place: TopicPartition) -> None:
        for task in self._owned.pop(place).deliveries:
            task.cancel()

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        if self._defect is not None:
            raise self._defect
        try:
            await self._take_assigned(consumer)
            self._hold_back(consumer)
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        except (NoOffsetForPartitionError, IllegalStateError):
            return  # assigned or revoked a moment ago
        except OffsetOutOfRangeError as error:
            for place in error.args[0]:
                log.error("webhooks_log_is_another_one", partition=place.partition)
                await self._begin(consumer, place, await self._fresh(consumer, place))
            return
        except (KafkaError, TimeoutError) as error:
            await self._pause("kafka_away", error)
            return
        for place, records in batches.items():
            self._take(place, records)
        for place in self._owned.keys() - batches.keys():
            await self._pass_markers(consumer, place)
        if time.monotonic() >= self._next_commit:
            await self._commit(consumer)

    async def _take_assigned(self, consumer: AIOKafkaConsumer) -> None:
        for place in sorted(consumer.assignment() - self._owned.keys()):
            async with asyncio.timeout(ASK_TIMEOUT_S):
                committed = await consumer.committed(place)
                if committed is None:
                    committed = await self._fresh(consumer, place)
                    # At once: what comes before the first regular commit must not be lost to a crash.
                    await consumer.commit({place: committed})
            await self._begin(consumer, place, committed)

    async def _begin(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
        if place in consumer.assignment():
            consumer.seek(place, offset)
            self._owned[place] = _Owned(PartitionWatch(offset), offset)

    async def _fresh(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
        found = (await consumer.offsets_for_times({place: self._since_ms}))[place]
        return int(found.offset if found else (await consumer.end_offsets([place]))[place])

    def _hold_back(self, consumer: AIOKafkaConsumer) -> None:
        undelivered = sum(len(owned.deliveries) for owned in self._owned.values())
        if undelivered >= MOST_UNDELIVERED:
            consumer.pause(*self._owned)
        elif paused := consumer.paused():
            consumer.resume(*paused)

    def _take(self, place: TopicPartition, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        owned = self._owned.get(place)
        if owned is None:
            return
        if records[0].offset < owned.watch.position:
            self._forget(place)  # the consumer stands elsewhere: begin again
            return
        for record in records:
            event = event_codec.decode(record.value)
            owned.watch.position = record.offset + 1
            if not isinstance(event, Event):
                log.warning("event_not_understood", partition=place.partition, offset=record.offset)
                continue
            notice = owned.watch.take(event, record.offset, record.timestamp)
            if notice is not None:
                task = asyncio.create_task(self._deliverer.deliver(notice), name=f"webhook-{notice.id}")
                owned.deliveries.add(task)
                task.add_done_callback(partial(self._delivered, owned, notice.id))

    def _delivered(self, owned: _Owned, notice_id: str, task: asyncio.Task[bool]) -> None:
        """Or given up. A defect of ours, kept in a task, would hold the partition for ever, so it ends the process."""
        owned.deliveries.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._defect = error
        else:
            owned.watch.delivered(notice_id)

    async def _pass_markers(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        """Transactions end with a marker that is no record, so that only the consumer's position passes it."""
        owned = self._owned.get(place)
        with suppress(IllegalStateError, TimeoutError):
            async with asyncio.timeout(1):
                position = await consumer.position(place)
            if owned is not None and self._owned.get(place) is owned:
                owned.watch.position = max(owned.watch.position, position)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        self._next_commit = time.monotonic() + COMMIT_INTERVAL_S
        offsets = {
            place: owned.watch.committable
            for place, owned in self._owned.items()
            if owned.watch.committable != owned.committed
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.warning("webhooks_not_committed", error=type(error).__name__)  # so some come once more
            return
        for place, offset in offsets.items():
            if place in self._owned:
                self._owned[place].committed = offset

    async def _pause(self, what: str, error: Exception) -> None:
        log.warning(what, error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), AWAY_PAUSE_S)

    async def _leave(self, consumer: AIOKafkaConsumer | None) -> None:
        """Requests under way get a moment; what is not delivered then is so at the next start."""
        tasks = [task for owned in self._owned.values() for task in owned.deliveries]
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE_TIMEOUT_S)
        try:
            if consumer is not None:
                await self._commit(consumer)
                await asyncio.wait_for(consumer.stop(), LEAVE_TIMEOUT_S)
        except TimeoutError:
            log.warning("group_not_left", reason="the broker did not answer in time")
        finally:
            self._forget_all()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
