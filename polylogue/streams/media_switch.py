"""The operator's switch for media: a record of `controls`, which every process that refuses or takes media follows."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from polylogue.infra.kafka import idempotent_producer, manual_consumer, started
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONTROLS, topic_name
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.codec import control_codec
from polylogue.schemas.controls import MediaPaused, MediaResumed
from polylogue.schemas.envelope import Control
from polylogue.streams.log_reader import read_to_end

POLL_MS = 1000  # a record ends the wait at once, and there is one partition only
KNOWN_WITHIN_S = 5.0  # at the start: longer than Kafka takes when it is well
AWAY_PAUSE_S = 1.0
SEND_TIMEOUT_S = 10.0

_log = get_logger(__name__)


class MediaSwitch:
    """Follows the topic. What was said last holds for as long as Kafka is away."""

    def __init__(self, settings: Settings) -> None:
        self.paused = False
        self._settings = settings
        self._place = TopicPartition(topic_name(settings, CONTROLS), 0)
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when what is in force is known, or Kafka has had its time to say so."""
        self._task = asyncio.create_task(self._follow(), name="media-switch")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._known.wait(), KNOWN_WITHIN_S)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                async with started(manual_consumer(self._settings, fetch_max_wait_ms=POLL_MS)) as consumer:
                    await self._read(consumer)
            except (KafkaError, TimeoutError) as error:
                _log.warning("media_switch_unreadable", error=type(error).__name__)
            await asyncio.sleep(AWAY_PAUSE_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._place])
        end = (await consumer.end_offsets([self._place]))[self._place]
        begin = (await consumer.beginning_offsets([self._place]))[self._place]
        consumer.seek(self._place, begin)
        while True:
            if await consumer.position(self._place) >= end:
                self._known.set()
            for record in (await consumer.getmany(timeout_ms=POLL_MS)).get(self._place, []):
                self._take(record.value)

    def _take(self, value: bytes | None) -> None:
        control = control_codec.decode(value)
        if not isinstance(control, Control):
            return
        was = self.paused
        self.paused = in_force(control, paused=was)
        if self.paused != was:
            _log.warning("media_paused" if self.paused else "media_resumed")


def in_force(control: Control, *, paused: bool) -> bool:
    """Whether media are paused after a record; those about other things change nothing."""
    match control.data:
        case MediaPaused():
            return True
        case MediaResumed():
            return False
    return paused


async def latest_control(settings: Settings) -> Control | None:
    """The record that is in force; None where media were never paused. Raises KafkaError."""
    latest = None
    async for record in read_to_end(settings, topic_name(settings, CONTROLS), 0):
        control = control_codec.decode(record.value)
        if isinstance(control, Control) and isinstance(control.data, MediaPaused | MediaResumed):
            latest = control
    return latest


async def write_control(settings: Settings, data: MediaPaused | MediaResumed) -> None:
    """Returns when it is in the log. Raises KafkaError or TimeoutError."""
    async with started(idempotent_producer(settings)) as producer:
        control = Control(control_id=uuid.uuid4().hex, issued_at=rfc3339(), data=data)
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await producer.send_and_wait(
                topic_name(settings, CONTROLS), control_codec.encode(control), key=b"media", partition=0
            )
