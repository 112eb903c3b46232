"""A consumer of `conversation-events` that shares the partitions with its like and commits where to begin again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from polylogue.infra.kafka import group_consumer, start_or_stop
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.schemas.envelope import Request

POLL_MS = 200
BATCH_RECORDS = 2000
# Nobody waits for the sweeper: what comes is gathered.
GATHER = {"fetch_max_wait_ms": 500, "fetch_min_bytes": 64 * 1024}
ASK_TIMEOUT_S = 10.0  # one question to the broker
LEAVE_TIMEOUT_S = 3.0
AWAY_PAUSE_S = 1.0

Records = Sequence[ConsumerRecord[bytes, bytes]]
Clock = Callable[[], int]  # Unix ms
Send = Callable[[Request, str], Awaitable[None]]  # a request to the media agent, by media_id

_log = get_logger(__name__)


class LogGroup(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """`generation` rises with every assignment: what was learned under an earlier one is to be forgotten, and every
    partition begun again, since another member may have gone on from there.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self.generation = 0
        self._topic = topic_name(settings, CONVERSATION_EVENTS)
        self._consumer = group_consumer(
            settings, settings.kafka_topic_prefix + group, auto_offset_reset="earliest", **GATHER
        )

    def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        self.generation += 1

    def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        self.generation += 1

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self._consumer.assignment())

    async def join(self) -> None:
        """Raises KafkaError."""
        self._consumer.subscribe([self._topic], listener=self)
        await start_or_stop(self._consumer)

    async def leave(self) -> None:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), LEAVE_TIMEOUT_S)

    async def poll(self) -> Mapping[TopicPartition, Records]:
        """Raises KafkaError."""
        try:
            batches: Mapping[TopicPartition, Records] = await self._consumer.getmany(
                timeout_ms=POLL_MS, max_records=BATCH_RECORDS
            )
        except OffsetOutOfRangeError:
            self.generation += 1  # another log under the same name: all is begun again
            return {}
        except IllegalStateError:
            return {}  # revoked a moment ago
        return batches

    async def position(self, place: TopicPartition) -> int | None:
        """The next offset; it passes the markers that end transactions. None where nobody says so soon."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return int(await self._consumer.position(place))
        except (IllegalStateError, KafkaError, TimeoutError):
            return None

    async def begin(self, place: TopicPartition) -> int:
        """Reads from the committed offset on; at first, and where that is of another log, from the beginning.

        Returns the offset. Raises KafkaError or TimeoutError.
        """
        async with asyncio.timeout(ASK_TIMEOUT_S):
            offset: int | None = await self._consumer.committed(place)
            first = (await self._consumer.beginning_offsets([place]))[place]
            end = (await self._consumer.end_offsets([place]))[place]
            if offset is None or not first <= offset <= end:
                offset = int(first)
        with suppress(IllegalStateError):  # revoked a moment ago
            self._consumer.seek(place, offset)
        return offset

    async def ends(self) -> dict[TopicPartition, int]:
        """Raises KafkaError or TimeoutError."""
        if not self.assigned:
            return {}
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return dict(await self._consumer.end_offsets(list(self.assigned)))

    def hold_at(self, place: TopicPartition, offset: int) -> None:
        """Reads nothing more of the partition until `go_on`; `offset` is the next."""
        with suppress(IllegalStateError):
            self._consumer.seek(place, offset)
            self._consumer.pause(place)

    def go_on(self) -> None:
        if paused := self._consumer.paused():
            self._consumer.resume(*paused)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises KafkaError or TimeoutError; a partition that is no longer ours is no error."""
        ours = {place: offset for place, offset in offsets.items() if place in self.assigned}
        if not ours:
            return
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._consumer.commit(ours)
        except IllegalStateError:
            return


@asynccontextmanager
async def membership(settings: Settings, group: str, stop: asyncio.Event) -> AsyncIterator[LogGroup | None]:
    """A member of the group for as long as the block runs; None where it was to stop before Kafka answered."""
    member: LogGroup | None = None
    while member is None and not stop.is_set():
        member = LogGroup(settings, group)
        try:
            await member.join()
        except KafkaError as error:
            member = None
            await pause(stop, "kafka_away", error)
    try:
        yield member
    finally:
        if member is not None:
            await member.leave()


async def pause(stop: asyncio.Event, what: str, error: Exception) -> None:
    """Says what is away, and waits a moment."""
    _log.warning(what, error=type(error).__name__)
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), AWAY_PAUSE_S)
