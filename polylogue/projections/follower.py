"""Keeps the tables of one projection up to date: a consumer in the projection's group, one transaction a batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.batch_pace import BatchPace
from polylogue.projections.batches import Applied, apply_batch, apply_together
from polylogue.projections.checkpoints import (
    Checkpoint,
    CheckpointRefusedError,
    NotLiveError,
    PartitionLostError,
    advance,
    take,
)
from polylogue.projections.group import FETCH_MAX_WAIT_MS, group_consumer, lag, leave_group, report
from polylogue.projections.log_heads import read_heads
from polylogue.projections.metrics import APPLIED, LAG, STOPPED
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import Refusal
from polylogue.projections.session import Session
from polylogue.projections.states import StateMemory
from polylogue.projections.stops import forget_stop, remember_stop
from polylogue.projections.versions import Skip, Version, skipped

POLL_MS = 100  # records end the wait at once; this is how soon a new assignment or a stop is noticed
QUIET_FETCH_MS = 250
BATCH_RECORDS = 2000
ATTEMPTS = 3  # for a record that cannot be applied, before its partition stops
REPORT_INTERVAL_S = 1.0  # the group's offsets are for lag monitoring only

log = get_logger(__name__)


class Follower(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Owns what the group assigns to it, from the table's checkpoint on, for as long as it is assigned."""

    def __init__(
        self, settings: Settings, projection: Projection, version: Version, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._projection = projection
        self._orders = version.orders
        self._paused = version.paused
        self._skips: Sequence[Skip] = ()
        self._stop = stop
        # For whoever looks at Postgres' sessions.
        name = f"projector-{projection.name}-v{projection.version}"
        self._session = Session(settings, version.schema_name, application_name=name)
        self._labels = (projection.name, str(projection.version))
        self._owned: dict[TopicPartition, Checkpoint] = {}
        self._memory = StateMemory()
        self._stopped: set[TopicPartition] = set()
        self._attempts: dict[TopicPartition, int] = {}
        self._unreported: dict[TopicPartition, int] = {}
        self._next_report = 0.0
        self._pace: BatchPace | None = None
        self._renewed = False
        self._log = log.bind(projection=projection.name, version=projection.version)
        self._postgres = Patience("postgres", stop, self._log)
        self._kafka = Patience("kafka", stop, self._log)
        self._log_names = Patience("log_name", stop, self._log)
        self._topic = topic_name(settings, CONVERSATION_EVENTS)

    async def run(self) -> None:
        """Returns when `stop` is set, after the batch under way; the group is left by then."""
        consumer: AIOKafkaConsumer | None = None
        try:
            while consumer is None and not self._stop.is_set():
                consumer = await self._join()
            while consumer is not None and not self._stop.is_set():
                await self._step(consumer)
        finally:
            await self._leave(consumer)

    def obey(self, version: Version, skips: Sequence[Skip]) -> None:
        """Takes note of what operators have decided; whatever had stopped is tried again after a new order."""
        self._skips = skips
        if version.orders != self._orders:
            self._orders, self._paused = version.orders, version.paused
            self._renewed = True

    async def _join(self) -> AIOKafkaConsumer | None:
        consumer = group_consumer(self._settings, self._projection)
        consumer.subscribe([self._topic], listener=self)
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            await self._kafka.wait(error)
            return None
        self._kafka.over()
        self._pace = BatchPace(consumer, time.monotonic, busy_ms=FETCH_MAX_WAIT_MS, quiet_ms=QUIET_FETCH_MS)
        return consumer

    def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        self._forget_all()

    def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        # Once more: what was taken while the group rebalanced has lost the position it was sought to.
        self._forget_all()

    def _forget_all(self) -> None:
        self._owned.clear()
        self._memory.clear()
        self._stopped.clear()
        self._attempts.clear()
        self._unreported.clear()
        STOPPED.labels(*self._labels).set(0)

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        if self._renewed:
            self._renewed = False
            self._forget_all()
            consumer.resume(*consumer.paused())
        if self._paused:
            consumer.pause(*consumer.assignment())
            self._owned.clear()
        else:
            await self._take_assigned(consumer)
        try:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        except NoOffsetForPartitionError:
            return  # assigned a moment ago: it will be sought to its checkpoint
        except OffsetOutOfRangeError as error:
            # The log has become shorter under us. Taking the partition again says how, in a sentence.
            for place in error.args[0]:
                self._owned.pop(place, None)
            return
        except KafkaError as error:
            await self._kafka.wait(error)
            return
        if batches:
            self._kafka.over()
        begun = time.monotonic()
        if not await self._apply_together(batches):
            for place, records in batches.items():
                await self._apply(consumer, place, records)
        if self._pace is not None:
            self._pace.saw(len(batches), time.monotonic() - begun)
        for place in self._owned.keys() - batches.keys():
            await self._pass_markers(consumer, place)
        if time.monotonic() >= self._next_report:
            await self._report(consumer)

    async def _take_assigned(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks each newly assigned partition to its table's checkpoint, never to the group's."""
        places = consumer.assignment() - self._owned.keys() - self._stopped
        if not places:
            return
        try:
            heads = await read_heads(self._settings, [place.partition for place in places])
        except KafkaError as error:
            await self._kafka.wait(error)
            return
        self._kafka.over()
        if any(head.empty for head in heads.values()):
            missing = LookupError(
                f"{self._topic} has partitions without LogCreated; run: polylogue topics apply"
            )
            await self._log_names.wait(missing)
            return
        self._log_names.over()
        for place in sorted(places):
            try:
                async with self._session.transaction() as connection:
                    checkpoint = await take(connection, self._projection, heads[place.partition])
                    await forget_stop(connection, checkpoint)
                consumer.seek(place, checkpoint.next_offset)
            except CheckpointRefusedError as error:
                await self._halt(consumer, place, Refusal(heads[place.partition].end, str(error)))
            except NotLiveError:
                return  # the next look at the versions ends or pauses this follower
            except IllegalStateError:
                return  # revoked meanwhile
            except psycopg.Error as error:
                await self._postgres.wait(error)
                return
            else:
                self._postgres.over()
                self._memory.forget(place.partition)
                self._owned[place] = checkpoint

    async def _apply_together(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> bool:
        """All partitions in one transaction. False where one is not as it should be: each is then judged by itself."""
        if len(batches) < 2:
            return False
        before: dict[TopicPartition, Checkpoint] = {}
        for place, records in batches.items():
            checkpoint = self._owned.get(place)
            if checkpoint is None or records[0].offset < checkpoint.next_offset:
                return False
            before[place] = checkpoint
        parts = [
            (one, batches[place], skipped(self._skips, one.log_id, one.partition))
            for place, one in before.items()
        ]
        try:
            after = await apply_together(
                await self._session.connection(), self._projection, parts, self._memory
            )
        except psycopg.Error as error:
            # Whether it was committed may be unknown: by itself, each partition finds out.
            await self._postgres.wait(error)
            return False
        if after is None:
            return False
        self._postgres.over()
        for (place, former), checkpoint in zip(before.items(), after, strict=True):
            APPLIED.labels(*self._labels).inc(len(batches[place]))
            if self._owned.get(place) is former:
                self._owned[place] = checkpoint
                self._unreported[place] = checkpoint.next_offset
                self._attempts.pop(place, None)
        return True

    async def _apply(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, records: Sequence[ConsumerRecord]
    ) -> None:
        """Tries until the batch is applied, the partition is no longer ours, or the process stops."""
        checkpoint = self._owned.get(place)
        if checkpoint is None:
            return  # fetched before the partition was sought to its checkpoint
        if records[0].offset < checkpoint.next_offset:
            del self._owned[place]  # the consumer stands elsewhere: seek again
            return
        while self._owned.get(place) is checkpoint and not self._stop.is_set():
            try:
                applied = await self._try(checkpoint, records)
            except PartitionLostError as error:
                self._lose(place, checkpoint, error)
                return
            except psycopg.Error as error:
                # All of them: away, restarted, full, deadlocked, ended by a time-out, of a missing right or table.
                await self._postgres.wait(error)
                continue
            self._postgres.over()
            APPLIED.labels(*self._labels).inc(
                sum(record.offset < applied.checkpoint.next_offset for record in records)
            )
            if self._owned.get(place) is checkpoint:
                self._owned[place] = applied.checkpoint
                self._unreported[place] = applied.checkpoint.next_offset
                if applied.refusal is not None:
                    await self._refuse(consumer, place, applied.refusal)
                else:
                    self._attempts.pop(place, None)
            return

    async def _try(self, checkpoint: Checkpoint, records: Sequence[ConsumerRecord]) -> Applied:
        connection = await self._session.connection()
        skips = skipped(self._skips, checkpoint.log_id, checkpoint.partition)
        return await apply_batch(
            connection, self._projection, checkpoint, records, skips=skips, memory=self._memory
        )

    async def _pass_markers(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        """Moves the checkpoint over what is no record, so that one at the log's end says so.

        The runner's transactions end with a marker, and whoever waits for the tables compares with the end.
        """
        checkpoint = self._owned.get(place)
        if checkpoint is None or _at_the_end(consumer, place, checkpoint):
            return
        try:
            async with asyncio.timeout(1):  # known at once, but for the moment of a new assignment
                position = await consumer.position(place)
            if position <= checkpoint.next_offset or self._owned.get(place) is not checkpoint:
                return
            async with self._session.transaction() as connection:
                advanced = await advance(connection, checkpoint, position)
        except (IllegalStateError, TimeoutError):
            return
        except PartitionLostError as error:
            self._lose(place, checkpoint, error)
        except psycopg.Error as error:
            await self._postgres.wait(error)
        else:
            self._postgres.over()
            if self._owned.get(place) is checkpoint:
                self._owned[place] = advanced
                self._unreported[place] = position

    def _lose(self, place: TopicPartition, checkpoint: Checkpoint, error: PartitionLostError) -> None:
        self._log.warning("partition_lost", partition=place.partition, reason=str(error))
        if self._owned.get(place) is checkpoint:
            del self._owned[place]

    async def _refuse(self, consumer: AIOKafkaConsumer, place: TopicPartition, refusal: Refusal) -> None:
        """Tries the record again, from the start of whatever may have gone wrong, and then stops."""
        self._attempts[place] = self._attempts.get(place, 0) + 1
        if self._attempts[place] >= ATTEMPTS:
            await self._halt(consumer, place, refusal)
        else:
            self._owned.pop(place, None)

    async def _halt(self, consumer: AIOKafkaConsumer, place: TopicPartition, refusal: Refusal) -> None:
        """Stops the partition at the record, loudly; the others go on."""
        self._owned.pop(place, None)
        self._stopped.add(place)
        STOPPED.labels(*self._labels).set(len(self._stopped))
        self._log.error(
            "partition_stopped",
            topic=place.topic,
            partition=place.partition,
            offset=refusal.offset,
            reason=refusal.reason,
        )
        await remember_stop(self._session, self._projection, place.partition, refusal, self._log)
        if place in consumer.assignment():
            consumer.seek(place, refusal.offset)  # a paused partition without a position would be an error
            consumer.pause(place)

    async def _report(self, consumer: AIOKafkaConsumer) -> None:
        """Commits the group's offsets, by which others see the lag; nothing is lost if that fails."""
        self._next_report = time.monotonic() + REPORT_INTERVAL_S
        offsets, self._unreported = self._unreported, {}
        positions = {place: checkpoint.next_offset for place, checkpoint in self._owned.items()}
        LAG.labels(*self._labels).set(lag(consumer, positions))
        await report(consumer, offsets, self._log)

    async def _leave(self, consumer: AIOKafkaConsumer | None) -> None:
        try:
            if consumer is not None:
                await self._report(consumer)
                await leave_group(consumer, self._log)
        finally:
            await self._session.close()
            self._forget_all()


def _at_the_end(consumer: AIOKafkaConsumer, place: TopicPartition, checkpoint: Checkpoint) -> bool:
    """Whether nothing is known behind the checkpoint: asked of every partition ten times a second, so it costs little."""
    return place in consumer.assignment() and consumer.highwater(place) == checkpoint.next_offset
