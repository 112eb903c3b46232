"""Follows the log for the tables of one projection, as a member of the projection's group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from polylogue.infra.kafka import start_or_stop
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.batch_pace import BatchPace
from polylogue.projections.checkpoints import Checkpoint, CheckpointRefusedError, NotLiveError, take
from polylogue.projections.gathering import Gathering
from polylogue.projections.group import FETCH_MAX_WAIT_MS, group_consumer, lag, leave_group, report
from polylogue.projections.log_heads import read_heads
from polylogue.projections.metrics import LAG
from polylogue.projections.ownership import Ownership
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import Refusal
from polylogue.projections.session import Session
from polylogue.projections.stops import forget_stop, remember_stop
from polylogue.projections.table_writer import TableWriter
from polylogue.projections.versions import Skip, Version

POLL_MS = 100  # records end the wait at once; this is how soon a new assignment or a stop is noticed
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
        self._stop = stop
        # For whoever looks at Postgres' sessions.
        name = f"projector-{projection.name}-v{projection.version}"
        self._session = Session(settings, version.schema_name, application_name=name)
        self._labels = (projection.name, str(projection.version))
        self._owned = Ownership(*self._labels)
        self._gathering = Gathering(projection, self._owned)
        self._next_report = 0.0
        self._pace: BatchPace | None = None
        self._renewed = False
        self._log = log.bind(projection=projection.name, version=projection.version)
        self._postgres = Patience("postgres", stop, self._log)
        self._kafka = Patience("kafka", stop, self._log)
        self._log_names = Patience("log_name", stop, self._log)
        self._tables = TableWriter(
            self._session, projection, self._owned, postgres=self._postgres, stop=stop, log=self._log
        )
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
        self._tables.skips = skips
        if version.orders != self._orders:
            self._orders, self._paused = version.orders, version.paused
            self._renewed = True

    async def _join(self) -> AIOKafkaConsumer | None:
        consumer = group_consumer(self._settings, self._projection)
        consumer.subscribe([self._topic], listener=self)
        try:
            await start_or_stop(consumer)
        except KafkaError as error:
            await self._kafka.wait(error)
            return None
        self._kafka.over()
        self._pace = BatchPace(consumer, FETCH_MAX_WAIT_MS)
        return consumer

    def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        self._owned.forget_all()

    def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        # Once more: what was taken while the group rebalanced has lost the position it was sought to.
        self._owned.forget_all()

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        if self._renewed:
            self._renewed = False
            self._owned.forget_all()
            consumer.resume(*consumer.paused())
        if self._paused:
            consumer.pause(*consumer.assignment())
            self._owned.release_all()
        else:
            await self._take_assigned(consumer)
        try:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        except NoOffsetForPartitionError:
            return  # assigned a moment ago: it will be sought to its checkpoint
        except OffsetOutOfRangeError as error:
            # The log has become shorter under us. Taking the partition again says how, in a sentence.
            self._owned.release(*error.args[0])
            return
        except KafkaError as error:
            await self._kafka.wait(error)
            return
        if batches:
            self._kafka.over()
        if self._pace is not None:
            self._pace.saw(sum(map(len, batches.values())))
        due = self._gathering.due(batches)
        if not await self._tables.write_together(due):
            for place, records in due.items():
                refusal = await self._tables.write(place, records)
                if refusal is not None:
                    await self._refuse(consumer, place, refusal)
        # What stands before a position is only markers where nothing of the partition was read, held or tried.
        for place in self._owned.places - batches.keys() - due.keys() - self._gathering.places:
            await self._pass_markers(consumer, place)
        if time.monotonic() >= self._next_report:
            await self._report(consumer)

    async def _take_assigned(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks each newly assigned partition to its table's checkpoint, never to the group's."""
        places = self._owned.to_take(consumer.assignment())
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
                self._owned.take(place, checkpoint)

    async def _pass_markers(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        """Moves the checkpoint over what is no record, so that one at the log's end says so.

        The runner's transactions end with a marker, and whoever waits for the tables compares with the end.
        """
        checkpoint = self._owned.checkpoint(place)
        if checkpoint is None or _at_the_end(consumer, place, checkpoint):
            return
        try:
            async with asyncio.timeout(1):  # known at once, but for the moment of a new assignment
                position = await consumer.position(place)
        except (IllegalStateError, TimeoutError):
            return
        if position > checkpoint.next_offset and self._owned.holds(place, checkpoint):
            await self._tables.move(place, checkpoint, position)

    async def _refuse(self, consumer: AIOKafkaConsumer, place: TopicPartition, refusal: Refusal) -> None:
        """Tries the record again, from the start of whatever may have gone wrong, and then stops."""
        if self._owned.failed(place) >= ATTEMPTS:
            await self._halt(consumer, place, refusal)
        else:
            self._owned.release(place)

    async def _halt(self, consumer: AIOKafkaConsumer, place: TopicPartition, refusal: Refusal) -> None:
        """Stops the partition at the record, loudly; the others go on."""
        self._owned.stop(place)
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
        LAG.labels(*self._labels).set(lag(consumer, self._owned.positions))
        await report(consumer, self._owned.take_unreported(), self._log)

    async def _leave(self, consumer: AIOKafkaConsumer | None) -> None:
        try:
            if consumer is not None:
                await self._report(consumer)
                await leave_group(consumer, self._log)
        finally:
            await self._session.close()
            self._owned.forget_all()


def _at_the_end(consumer: AIOKafkaConsumer, place: TopicPartition, checkpoint: Checkpoint) -> bool:
    """Whether nothing is known behind the checkpoint: asked of every partition ten times a second, so it costs little."""
    return place in consumer.assignment() and consumer.highwater(place) == checkpoint.next_offset
