"""The runner process: reads `commands` in a group, and has every partition it is given served by one writer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.fetch_pace import FetchPace
from polylogue.infra.kafka import client_options, start_or_stop
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, COMMANDS_DLQ, topic_name
from polylogue.media.store import ObjectStore
from polylogue.media.validation import ValidationPool
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.admission import MediaAdmission
from polylogue.streams.assignment import Membership, rebalance
from polylogue.streams.capacity import Capacity
from polylogue.streams.dead_letters import DeadLetters
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.model_catalogue import ModelCatalogue
from polylogue.streams.owned_partition import OwnedPartition, PartitionServices
from polylogue.streams.picture_urls import PictureUrls
from polylogue.streams.quota_gate import quota_gate
from polylogue.streams.replaceable_producer import ReplaceableProducer
from polylogue.streams.runner_tools import RunnerTools
from polylogue.streams.segments import MediaOutbox
from polylogue.streams.titles import Titles

POLL_MS = 200
FETCH_MAX_WAIT_MS = 50  # what can wait for a fetch without records: see FetchPace
COMMIT_EVERY_S = 1.0
RECLAIM_PAUSE_S = 1.0  # a heartbeat: time to hear of a rebalance
HEARTBEAT_MS = 1000
REBALANCE_TIMEOUT_MS = (
    10_000  # the session time-out by default; a slow hand-over would get the member expelled
)
END_WITHIN_S = 10.0  # after the drain: to write the last events and leave the group

_log = get_logger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until `stop` is set, then drains. Raises SettingsError for a setting that is missing."""
    key = settings.openrouter_api_key
    outbox = MediaOutbox(settings)
    async with (
        Gateway(
            base_url=str(settings.openrouter_base_url),
            api_key=key.get_secret_value() if key else None,
            connect_timeout_s=settings.gateway_connect_timeout_s,
            first_byte_timeout_s=settings.gateway_first_byte_timeout_s,
            idle_timeout_s=settings.gateway_idle_timeout_s,
            total_timeout_s=settings.response_timeout_s,
            max_media_bytes=settings.media_max_size_mb * 1024 * 1024,
            max_line_bytes=settings.gateway_max_line_bytes,
            retry_for_s=settings.gateway_retry_for_s,
            on_retry=lambda error: metrics.RETRIES.labels(failure_class=error.failure_class).inc(),
            on_bytes=metrics.UPSTREAM_BYTES.inc,
            video_poll_interval_s=settings.video_poll_interval_s,
            video_deadline_s=settings.video_deadline_s,
        ) as gateway,
        quota_gate(settings) as quota,
    ):
        producer = ReplaceableProducer(settings, give_up_after_s=math.inf)
        dead_letters = DeadLetters(producer, topic_name(settings, COMMANDS_DLQ))
        store = ObjectStore.from_settings(settings)
        titles = Titles(settings, gateway, producer)
        admission = MediaAdmission.from_settings(settings)
        checks = ValidationPool.from_settings(settings, processes=1)  # started when an answer needs it
        tools = RunnerTools(
            settings=settings,
            gateway=gateway,
            catalogue=ModelCatalogue(gateway),
            outbox=outbox,
            store=store,
            pictures=PictureUrls(settings, store),
            titles=titles,
            admission=admission,
            checks=checks,
            quota=quota,
            capacity=Capacity(settings.runner_max_responses),
        )
        metrics.QUEUED.set_function(lambda: tools.capacity.queued)
        try:
            await admission.start()
            await Runner(settings, tools, dead_letters).run(stop)
        finally:
            await admission.stop()
            await checks.close()
            await titles.close()
            await outbox.close()
            await producer.stop()
            store.close()


class Runner(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(self, settings: Settings, tools: RunnerTools, dead_letters: DeadLetters) -> None:
        self._settings = settings
        self._topic = topic_name(settings, COMMANDS)
        self._services = PartitionServices(
            settings, tools, dead_letters, on_lost=self._on_lost, on_crash=self._on_crash
        )
        self._owned: dict[int, OwnedPartition] = {}
        self._membership: Membership | None = None
        self._takeovers: set[asyncio.Task[None]] = set()
        self._draining = False
        self._rebalancing = False
        self._crash: BaseException | None = None

        # The sticky assignor keeps its last assignment on the class, so each consumer has a class of its own.
        class Assignor(StickyPartitionAssignor):  # type: ignore[misc]
            pass

        self._consumer = AIOKafkaConsumer(
            **client_options(settings),
            group_id=f"{settings.kafka_topic_prefix}polylogue-runner",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(Assignor,),
            session_timeout_ms=settings.kafka_session_timeout_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        self._pace = FetchPace(self._consumer, time.monotonic, busy_ms=FETCH_MAX_WAIT_MS)

    async def run(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe([self._topic], listener=self)
        await start_or_stop(self._consumer)
        committing = asyncio.create_task(self._commit_regularly(), name="runner-commits")
        try:
            while not stop.is_set() and self._crash is None:
                await self._poll()
            await self._drain()
        finally:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
            await self._close()
        if self._crash is not None:
            raise self._crash

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """An eager rebalance revokes everything for a moment. Turns go on: what was really lost shows afterwards."""
        del revoked
        self._rebalancing = True

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        coordinator = self._consumer._coordinator  # noqa: SLF001  # aiokafka tells neither elsewhere
        now = Membership(coordinator.member_id, coordinator.generation)
        change = rebalance(self._owned, (place.partition for place in assigned), now, self._membership)
        self._membership = now
        self._rebalancing = False
        for partition in change.lost:
            self._give_up(partition)
        for partition in change.kept:
            place, owned = TopicPartition(self._topic, partition), self._owned[partition]
            if owned.ready:
                self._consumer.seek(place, owned.ledger.next_offset)
            else:
                self._consumer.pause(place)
        for partition in change.gained:
            self._consumer.pause(TopicPartition(self._topic, partition))
            self._begin(partition)
        _log.info(
            "assigned",
            kept=sorted(change.kept),
            gained=sorted(change.gained),
            lost=sorted(change.lost),
            generation=now.generation,
        )
        metrics.PARTITIONS.set(len(self._owned))

    def _begin(self, partition: int) -> None:
        self._owned[partition] = OwnedPartition(self._services, partition)
        self._in_background(self._take_over(self._owned[partition]), f"takeover-{partition}")

    def _in_background(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._takeovers.add(task)
        task.add_done_callback(self._takeover_ended)

    def _takeover_ended(self, task: asyncio.Task[None]) -> None:
        self._takeovers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)

    def _on_crash(self, error: BaseException) -> None:
        """A fault in the code: the process ends and says so; a successor takes its partitions over."""
        self._crash = self._crash or error

    async def _take_over(self, owned: OwnedPartition) -> None:
        place = TopicPartition(self._topic, owned.partition)
        next_offset = await owned.take_over(lambda: self._consumer.committed(place))
        if self._owned.get(owned.partition) is not owned:
            return
        if self._draining:
            owned.drain()
        if next_offset is not None:
            self._consumer.seek(place, next_offset)
        self._consumer.resume(place)

    async def _reclaim(self, partition: int) -> None:
        """Takes a partition over again that was fenced without a rebalance: by a member of the last generation that
        started its writer late. The broker takes commits from the present generation only, so one that it takes says
        that the partition is still ours.
        """
        place = TopicPartition(self._topic, partition)
        while not self._draining:
            await asyncio.sleep(RECLAIM_PAUSE_S)
            if partition in self._owned or place not in self._consumer.assignment():
                return
            if self._rebalancing:
                continue
            self._consumer.pause(place)
            try:
                await self._consumer.commit({place: await self._consumer.committed(place) or 0})
            except KafkaError as error:
                _log.debug("reclaim_delayed", partition=partition, error=type(error).__name__)
                continue
            if partition not in self._owned and place in self._consumer.assignment():
                self._begin(partition)
            return

    async def _poll(self) -> None:
        try:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        except KafkaError as error:
            _log.warning("commands_unreadable", error=type(error).__name__)
            await asyncio.sleep(POLL_MS / 1000)
            return
        self._pace.saw(len(batches))
        for place, records in batches.items():
            owned = self._owned.get(place.partition)
            for record in records:
                if owned is not None:
                    await owned.serve(record)

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit()

    async def _commit(self) -> None:
        # A commit that crosses our own join is one of a generation that has passed; aiokafka answers the refusal by
        # joining anew, and two members can keep each other rebalancing like that for ever.
        if self._rebalancing:
            return
        ready = {owned: owned.ledger.committable for owned in self._owned.values() if owned.ready}
        due = {owned: offset for owned, offset in ready.items() if offset not in (0, owned.committed)}
        if not due:
            return
        offsets = {TopicPartition(self._topic, owned.partition): offset for owned, offset in due.items()}
        crash_point("runner.commit_before")
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            # A rebalance is under way or the broker is away. The next round commits; nothing depends on this one.
            _log.debug("commit_delayed", error=type(error).__name__)
            return
        crash_point("runner.committed")
        for owned, offset in due.items():
            owned.committed = offset

    async def _drain(self) -> None:
        """Goes on reading commands for the cancels in them, until all turns have ended or the time is over."""
        self._draining = True
        for owned in self._owned.values():
            owned.drain()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.runner_drain_s
        crash_point("runner.draining")
        _log.info("draining", seconds=self._settings.runner_drain_s)
        while loop.time() < deadline and not all(owned.idle for owned in self._owned.values()):
            await self._poll()
        for owned in self._owned.values():
            owned.interrupt()
        crash_point("runner.interrupted")

    async def _close(self) -> None:
        for task in list(self._takeovers):
            task.cancel()
        closing = [owned.close() for owned in self._owned.values()]
        try:
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), END_WITHIN_S)
            await self._commit()
        except TimeoutError:
            _log.warning("closed_in_haste", seconds=END_WITHIN_S)
        await self._consumer.stop()

    def _give_up(self, partition: int) -> None:
        owned = self._owned.pop(partition, None)
        if owned is not None:
            owned.abandon()

    def _on_lost(self, owned: OwnedPartition) -> None:
        if self._owned.get(owned.partition) is not owned:
            return  # given up before
        self._give_up(owned.partition)
        self._in_background(self._reclaim(owned.partition), f"reclaim-{owned.partition}")
        metrics.PARTITIONS.set(len(self._owned))
