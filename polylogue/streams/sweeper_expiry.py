"""Ends the life of stored media: follows the log at a distance of MEDIA_LIFECYCLE_DAYS.

What was stored so long ago is asked to expire, whatever has become of it since: the request of a medium that is
deleted, or that has expired already, changes nothing that a reader sees. So nothing has to be remembered but the place.
"""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import MediaStored
from polylogue.streams import sweeper_metrics as metrics
from polylogue.streams.replaceable_producer import ProducerUnusableError
from polylogue.streams.sweeper_group import Clock, LogGroup, Records, Send, membership, pause
from polylogue.streams.sweeper_plan import expire_request

GROUP = "sweeper-expiry"
DAY_MS = 24 * 3600 * 1000

_log = get_logger(__name__)


class Expiry:
    def __init__(self, settings: Settings, send: Send, clock: Clock) -> None:
        self._settings = settings
        self._send = send
        self._clock = clock
        self._next_look = 0.0
        self._generation = -1

    async def run(self, stop: asyncio.Event) -> None:
        async with membership(self._settings, GROUP, stop) as group:
            while group is not None and not stop.is_set():
                try:
                    await self._step(group)
                except (KafkaError, TimeoutError, ProducerUnusableError) as error:
                    self._generation = -1  # what was taken and not asked for is taken again
                    await pause(stop, "expiry_put_off", error)

    async def _step(self, group: LogGroup) -> None:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._settings.media_sweep_interval_s
            group.go_on()
        if self._generation != (generation := group.generation):
            for place in group.assigned:
                await group.begin(place)
            self._generation = generation
        done: dict[TopicPartition, int] = {}
        batches = await group.poll()
        if generation != group.generation:
            return
        for place, records in batches.items():
            done[place] = await self._take(group, place, records)
        await group.commit(done)

    async def _take(self, group: LogGroup, place: TopicPartition, records: Records) -> int:
        """The offset up to which everything was old enough and has been asked to expire."""
        stored_before_ms = self._clock() - self._settings.media_lifecycle_days * DAY_MS
        for record in records:
            if record.timestamp > stored_before_ms:
                group.hold_at(place, record.offset)
                return int(record.offset)
            event = event_codec.decode(record.value)
            if isinstance(event, Event) and isinstance(event.data, MediaStored):
                await self._expire(event, place.partition)
        return int(records[-1].offset) + 1

    async def _expire(self, event: Event, partition: int) -> None:
        request = expire_request(event, partition)
        if request is None or not isinstance(event.data, MediaStored):
            return
        crash_point("sweeper.expire_before")
        await self._send(request, event.data.media_id)
        crash_point("sweeper.expire_sent")
        metrics.EXPIRED.inc()
        _log.info("expiry_asked", media_id=event.data.media_id, conversation_id=event.conversation_id)
