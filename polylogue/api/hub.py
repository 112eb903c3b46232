"""The hub: conversations that somebody watches, fed by the one tail, each caught up once for all its readers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from polylogue.api.channel import Channel, Record, Skipped
from polylogue.api.cursor import Cursor
from polylogue.api.framing import UrlFor
from polylogue.api.live import LiveStreams
from polylogue.api.owner_feed import OwnerFeed
from polylogue.api.owners import Owners
from polylogue.api.past import Past, ReadRange
from polylogue.api.snapshot import Contents, Told, running, standing_at
from polylogue.api.window import Encoded

REACH_S = 5.0  # the tail is a few milliseconds behind the log; more means that it stands still
IDLE_S = 60.0  # how long a conversation without subscribers keeps its window for those who come back


class NotReadyError(Exception):
    """The tail does not stand yet, or no longer; the message is a sentence."""


class LogTruncatedError(Exception):
    """Retention has removed what was to be read; `earliest` is the first offset that is left."""

    def __init__(self, partition: int, earliest: int) -> None:
        super().__init__("What the cursor points at is no longer kept.")
        self.partition = partition
        self.earliest = earliest


async def _nowhere(_owner: str, _conversation_id: str) -> int | None:
    return None


class Hub:
    """`feed` and everything that looks a channel up run without awaiting, so that no record falls between them."""

    def __init__(
        self,
        *,
        read: ReadRange,
        url_for: UrlFor,
        skipped: Skipped = lambda _reason: None,
        caught_up: Callable[[], None] = lambda: None,
        delivered: Callable[[int, int], None] = lambda _frames, _bytes: None,
        cut: Callable[[str], None] = lambda _reason: None,
        locate: Callable[[str, str], Awaitable[int | None]] = _nowhere,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log_ids: dict[int, str] = {}
        self.positions: dict[int, int] = {}  # partition → offset of the next record that the tail will bring
        self.lag = 0  # records that the log has and the tail has not brought
        self.delivered = 0  # frames, to all readers together
        self.stopping = False
        self._channels: dict[bytes, Channel] = {}
        self._awaited: dict[asyncio.Future[None], tuple[int, int]] = {}
        self.past = Past(self.log_ids, read=read, url_for=url_for, skipped=skipped, caught_up=caught_up)
        self._clock, self._count = clock, delivered
        self.live = LiveStreams(clock, cut=cut)
        self.owners = Owners(clock)
        self._locate = locate

    @property
    def ready(self) -> bool:
        return bool(self.positions) and not self.stopping

    def begin(self, log_ids: dict[int, str], positions: dict[int, int]) -> None:
        """The tail stands at `positions`, and brings everything from there."""
        self.log_ids.clear()  # the past knows the same ones
        self.log_ids.update(log_ids)
        self.positions = dict(positions)

    def position(self, partition: int) -> int:
        """Raises NotReadyError."""
        if not self.ready or partition not in self.positions:
            raise NotReadyError("The event log is not being read yet.")
        return self.positions[partition]

    def feed(self, partition: int, records: Sequence[Record]) -> None:
        """The next records of a partition, of whatever conversations."""
        touched: dict[bytes, Channel] = {}
        feeds: set[OwnerFeed] = set()
        for record in records:
            channel = self._channels.get(record.key or b"")
            feed = self.owners.feed_of(record) if self.owners.watched else None
            if feed is not None:
                channel = channel or self._open(feed.owner, record, partition)
                if feed not in feeds:
                    feed.trim()
                    feeds.add(feed)
                channel.feed = feed
                feed.expect(partition, record.offset, channel.conversation_id)
            if channel is None or channel.partition != partition:
                continue
            if channel.conversation_id.encode() not in touched:
                # Before the new frames and not after: who has read all so far never loses any.
                channel.window.trim()
            if channel.take(record):
                touched[channel.conversation_id.encode()] = channel
        if records:
            self.positions[partition] = records[-1].offset + 1
        for channel in touched.values():
            self._bring(channel)
        if self.owners.watched:
            self.owners.passed(partition, self.positions[partition])
            for feed in feeds:
                self._bring_feed(feed)
        for waiter, (awaited, offset) in self._awaited.items():
            if awaited == partition and offset < self.positions[partition] and not waiter.done():
                waiter.set_result(None)

    async def reached(self, partition: int, offset: int) -> None:
        """Returns once the tail has brought the record at `offset`. Raises NotReadyError."""
        if offset < self.position(partition):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._awaited[waiter] = (partition, offset)
        try:
            async with asyncio.timeout(REACH_S):
                await waiter
        except TimeoutError:
            raise NotReadyError("This server has not read as far as the cursor yet.") from None
        finally:
            del self._awaited[waiter]

    def find(self, conversation_id: str) -> Channel | None:
        """The channel of a conversation that is caught up."""
        channel = self._channels.get(conversation_id.encode())
        return channel if channel is not None and channel.loading is None else None

    def fresh(self, conversation_id: str, partition: int) -> Channel:
        """The channel of a conversation of which nothing has been written yet. Raises NotReadyError."""
        return self._add(conversation_id, partition, self.position(partition))

    async def channel(self, conversation_id: str, partition: int, start: int) -> Channel:
        """The channel of a conversation, caught up from `start`, which must be no later than the start of its oldest
        unfinished turn. Raises NotReadyError, LogTruncatedError, KafkaError."""
        channel = self._channels.get(conversation_id.encode())
        if channel is None:
            position = self.position(partition)
            channel = self._add(conversation_id, partition, min(start, position))
            channel.hold()
            channel.loading = asyncio.create_task(self._load(channel, position))
            channel.loading.add_done_callback(_look_at)
        if channel.loading is not None:
            await asyncio.shield(channel.loading)
        return channel

    async def backfill(self, channel: Channel, start: int, stop: int) -> list[Encoded]:
        """The frames from `start` to before `stop`; readers who ask for the same at once share one read."""
        running = channel.backfills.get((start, stop))
        if running is None:
            key = channel.conversation_id.encode()
            running = asyncio.create_task(self.past.frames(channel.partition, key, start, stop))
            channel.backfills[start, stop] = running
            running.add_done_callback(lambda _: channel.backfills.pop((start, stop), None))
            running.add_done_callback(_look_at)
        return await asyncio.shield(running)

    async def so_far(self, channel: Channel) -> tuple[Cursor, list[Told], int]:
        """The responses of unfinished turns, the cursor of what they stand for, and the window's sequence after it.

        Nothing is awaited but where more was said than is kept.
        """
        at, sequence = self._standing(channel), channel.window.end
        if not channel.contents.lost:
            return at, running(channel.contents, channel.state), sequence
        again = self.past.reduction(channel.partition, Contents(most_bytes=None))
        key = channel.conversation_id.encode()
        async for records in self.past.records(channel.partition, key, at.start, at.offset + 1):
            for record in records:
                again.frames(record)
        assert again.contents is not None
        return at, running(again.contents, again.state), sequence

    def _standing(self, channel: Channel) -> Cursor:
        log_id = self.log_ids[channel.partition]
        return standing_at(log_id, channel.partition, channel.last_offset, channel.start, channel.state)

    def feed_for(self, owner: str) -> OwnerFeed:
        """The row of an owner's frames from where the tail stands now. Raises NotReadyError."""
        self.position(0)
        return self.owners.open(owner, self.positions, self.log_ids)

    def evict(self) -> None:
        """Forgets the conversations that nobody has watched for a while; window and state go together."""
        now = self._clock()
        self.owners.evict(now)
        for key, channel in list(self._channels.items()):
            if channel.subscribers or channel.loading is not None:
                channel.idle_since = now
            elif now - channel.idle_since > IDLE_S:
                del self._channels[key]

    async def wind_down(self) -> None:
        """Nobody is taken any more, and every subscriber is sent off with a cursor, some a moment later than others."""
        self.stopping = True
        await self.live.send_off()
        self.stop()

    def stop(self) -> None:
        """Every subscriber is sent off with a cursor."""
        self.stopping = True
        self.live.stop()
        self.owners.wake()
        for channel in self._channels.values():
            channel.wake()

    def _open(self, owner: str, record: Record, partition: int) -> Channel:
        """A channel for a conversation of which this is the first record since somebody watches its owner."""
        assert record.key is not None
        channel = self._add(record.key.decode(), partition, record.offset)
        channel.hold()
        channel.loading = asyncio.create_task(self._open_from(owner, channel, record.offset))
        channel.loading.add_done_callback(_look_at)
        return channel

    async def _open_from(self, owner: str, channel: Channel, offset: int) -> None:
        try:
            start = await self._locate(owner, channel.conversation_id)
            channel.begin_at(offset if start is None else min(start, offset))
            await self._load(channel, offset)
        except BaseException:  # cancelled or refused alike: what lies behind must not be shown first
            self._channels.pop(channel.conversation_id.encode(), None)
            self.owners.give_up(owner)
            raise

    def _bring_feed(self, feed: OwnerFeed) -> None:
        feed.wake()
        self._note(*feed.deliver(self._clock()))

    def _bring(self, channel: Channel) -> None:
        channel.wake()
        if channel.audiences:
            self._note(*channel.deliver(self._clock()))

    def _note(self, frames: int, size_bytes: int) -> None:
        self.delivered += frames
        self._count(frames, size_bytes)

    def now(self) -> float:
        return self._clock()

    def __len__(self) -> int:
        return len(self._channels)

    def _add(self, conversation_id: str, partition: int, start: int) -> Channel:
        channel = Channel(conversation_id, partition, start, self.past.reduction(partition, Contents()))
        channel.idle_since = self._clock()
        self._channels[conversation_id.encode()] = channel
        return channel

    async def _load(self, channel: Channel, stop: int) -> None:
        key = channel.conversation_id.encode()
        try:
            async for records in self.past.records(channel.partition, key, channel.start, stop):
                for record in records:
                    channel.apply(record)
        except BaseException:  # cancelled or refused alike: whoever waits is told, the next one begins anew
            self._channels.pop(key, None)
            raise
        channel.loading = None
        channel.release()
        self._bring(channel)
        if channel.feed is not None:
            self.owners.passed(channel.partition, self.positions[channel.partition])
            self._bring_feed(channel.feed)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Those who asked may all have gone; the failure is theirs and nobody else's."""
    if not task.cancelled():
        task.exception()
