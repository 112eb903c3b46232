"""The sweeper: finds in the log what nobody finished, sends claims again, and removes what nobody is shown.

Run it with `run_process("sweeper", settings, serve)`, in as many copies as wanted: they share the partitions of
`conversation-events`. Whatever it does may be done twice.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, topic_name
from polylogue.media.bucket_contents import BucketContents
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import event_codec, request_codec
from polylogue.schemas.envelope import Event, Request
from polylogue.streams import sweeper_metrics as metrics
from polylogue.streams.replaceable_producer import ProducerUnusableError, ReplaceableProducer
from polylogue.streams.sweeper_expiry import Expiry
from polylogue.streams.sweeper_group import Clock, LogGroup, Records, Send, membership, pause
from polylogue.streams.sweeper_objects import BucketUnavailableError, DecisionTooOldError, ObjectRemoval
from polylogue.streams.sweeper_plan import Action, PartitionSweep, RemoveObjects, SendAgain

GROUP = "sweeper"
COMMIT_EVERY_S = 5.0
# From the last look at the log to the request that removes an object. A process that was stopped in between looks
# again: a failed medium may have been tried once more and be stored.
DECISION_HOLDS_S = 5.0
SEND_GIVES_UP_S = 30.0
LEADING_PARTITION = 0  # its owner looks after what belongs to the bucket and to no partition

_log = get_logger(__name__)


async def serve(settings: Settings, stop: asyncio.Event, *, clock: Clock = now_ms) -> None:
    """Works until `stop` is set. `clock` gives Unix ms."""
    contents = BucketContents.from_settings(settings)
    removal = ObjectRemoval(contents)
    producer = ReplaceableProducer(settings, give_up_after_s=SEND_GIVES_UP_S)
    requests = topic_name(settings, MEDIA_REQUESTS)

    async def send(request: Request, media_id: str) -> None:
        await producer.send(requests, request_codec.encode(request), key=media_id.encode())

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Sweeper(settings, removal, send, clock).run(stop))
            group.create_task(Expiry(settings, send, clock).run(stop))
    finally:
        await producer.stop()
        removal.close()
        contents.close()


@dataclass
class _Owned:
    watch: PartitionSweep
    committed: int


class Sweeper:
    """Follows the partitions that the group gives it; makes a pass over what is open every MEDIA_SWEEP_INTERVAL_S."""

    def __init__(self, settings: Settings, removal: ObjectRemoval, send: Send, clock: Clock) -> None:
        self._settings = settings
        self._removal = removal
        self._send = send
        self._clock = clock
        self._owned: dict[TopicPartition, _Owned] = {}
        self._generation = -1
        self._next_pass = 0.0
        self._next_commit = 0.0
        self._ends: dict[TopicPartition, int] | None = None  # of the log, where a pass is to begin
        self._asked_ms = 0  # when these were asked for
        self._read_at = 0.0  # when the log was last read
        self._work: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        async with membership(self._settings, GROUP, stop) as group:
            if group is None:
                return
            _log.info("sweeper_ready")
            try:
                while not stop.is_set():
                    try:
                        await self._step(group)
                    except (KafkaError, TimeoutError) as error:
                        await pause(stop, "kafka_away", error)
            finally:
                await self._end_work()
                await self._commit(group)

    async def _step(self, group: LogGroup) -> None:
        if self._generation != group.generation:
            await self._begin(group)
        batches = await group.poll()
        if self._generation != group.generation:
            return
        for place, records in batches.items():
            await self._take(self._owned[place].watch, records)
        for place, owned in self._owned.items():
            position = await group.position(place)
            if position is not None:
                owned.watch.position = max(owned.watch.position, position)
        if not self._fresh():
            await self._end_work()  # this process stood still: what it knew may not be so any more
        self._read_at = time.monotonic()
        await self._look(group)
        if time.monotonic() >= self._next_commit:
            self._next_commit = time.monotonic() + COMMIT_EVERY_S
            await self._commit(group)

    async def _begin(self, group: LogGroup) -> None:
        """After every rebalance all is read again from what is committed: another member may have been there."""
        await self._end_work()
        generation, self._owned = group.generation, {}
        for place in group.assigned:
            offset = await group.begin(place)
            watch = PartitionSweep(
                offset,
                deadline_ms=int(self._settings.media_deadline_s * 1000),
                remove_after_ms=int(self._settings.media_remove_after_s * 1000),
            )
            self._owned[place] = _Owned(watch, offset)
        self._generation = generation

    async def _take(self, watch: PartitionSweep, records: Records) -> None:
        for record in records:
            event = event_codec.decode(record.value)
            if isinstance(event, Event):
                watch.take(event, record.offset, record.timestamp)
            watch.position = record.offset + 1
        await asyncio.sleep(0)  # a long log is taken up without keeping the heartbeats waiting

    async def _look(self, group: LogGroup) -> None:
        """Asks how long the log is; what is due is judged when all of that has been read."""
        if self._work is not None:
            if not self._work.done():
                return
            self._work.result()
            self._work = None
        if self._ends is None:
            if time.monotonic() < self._next_pass:
                return
            self._asked_ms = self._clock()
            self._ends = await group.ends()
        if all(owned.watch.position >= self._ends.get(place, 0) for place, owned in self._owned.items()):
            self._ends = None
            self._next_pass = time.monotonic() + self._settings.media_sweep_interval_s
            self._work = asyncio.create_task(self._pass(dict(self._owned), self._asked_ms), name="sweep")

    def _fresh(self) -> bool:
        """Whether the log was read a moment ago. Asked from another thread too."""
        return time.monotonic() - self._read_at < DECISION_HOLDS_S

    async def _pass(self, owned: dict[TopicPartition, _Owned], at_ms: int) -> None:
        metrics.OVERDUE.set(sum(one.watch.overdue for one in owned.values()))
        try:
            for one in owned.values():
                for action in one.watch.due(at_ms):
                    if one.watch.stands(action):
                        await self._carry_out(one.watch, action)
            if any(place.partition == LEADING_PARTITION for place in owned):
                await self._abort_uploads()
        except (BucketUnavailableError, DecisionTooOldError, ProducerUnusableError) as error:
            # The next pass finds the same again.
            metrics.FAILURES.inc()
            _log.warning("sweep_put_off", error=type(error).__name__, reason=str(error))

    async def _carry_out(self, watch: PartitionSweep, action: Action) -> None:
        if isinstance(action, SendAgain):
            await self._send_again(action)
        else:
            await self._remove(watch, action)
        watch.done(action, self._clock())

    async def _send_again(self, action: SendAgain) -> None:
        crash_point("sweeper.claim_before")
        await self._send(action.request, action.media_id)
        crash_point("sweeper.claim_sent")
        metrics.CLAIMS.inc()
        _log.info("claim_sent_again", media_id=action.media_id, conversation_id=action.conversation_id)

    async def _remove(self, watch: PartitionSweep, action: RemoveObjects) -> None:
        crash_point("sweeper.remove_before")
        removed = await self._removal.remove(action, stands=lambda: watch.stands(action), fresh=self._fresh)
        crash_point("sweeper.removed")
        if removed:
            metrics.OBJECTS.inc(removed)
            _log.info(
                "objects_removed",
                conversation_id=action.conversation_id,
                media_id=action.media_id,
                count=removed,
            )

    async def _abort_uploads(self) -> None:
        begun_before_ms = self._clock() - int(self._settings.media_upload_abort_after_s * 1000)
        for upload in await self._removal.half_done_before(begun_before_ms):
            await self._removal.abort(upload)
            metrics.UPLOADS.inc()
            _log.info("upload_aborted", key=upload.key)

    async def _commit(self, group: LogGroup) -> None:
        if self._generation != group.generation:
            return
        due = {
            place: owned.watch.committable
            for place, owned in self._owned.items()
            if owned.watch.committable != owned.committed
        }
        try:
            await group.commit(due)
        except (KafkaError, TimeoutError) as error:
            _log.warning("sweeper_not_committed", error=type(error).__name__)  # so some is read once more
            return
        for place, offset in due.items():
            self._owned[place].committed = offset

    async def _end_work(self) -> None:
        self._ends = None
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
