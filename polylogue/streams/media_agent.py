"""The media agent: one claim of `media-requests` after another becomes an object in S3 and one outcome.

Run it with `run_process("media-agent", settings, serve)`. A partition has one claim under way at a time; parallel
work comes from partitions and from more processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Collection
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn

from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_REQUESTS_DLQ, topic_name
from polylogue.media.fetch import MediaFetcher
from polylogue.media.store import ObjectStore
from polylogue.schemas.claims import StoreMedia
from polylogue.schemas.codec import Garbage, NewerVersion, UnknownType, request_codec
from polylogue.streams.claim_settlement import ClaimSettlement
from polylogue.streams.dead_letters import DeadLetters, SourceRecord
from polylogue.streams.faust_app import create_app, group_id
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_watchdog import GroupLag, Stillness, watch
from polylogue.streams.replaceable_producer import ProducerUnusableError, ReplaceableProducer
from polylogue.streams.segment_reader import SegmentReader

STOP_TIMEOUT_S = 8.0  # SIGTERM promises 10 s
S3_CONCURRENCY = 10

log = get_logger(__name__)


class UnitOfWork:
    """What happens to one record: decoded, settled, published. It returns when the record may be acknowledged."""

    def __init__(self, settlement: ClaimSettlement, outcomes: MediaOutcomes, letters: DeadLetters) -> None:
        self._settlement = settlement
        self._outcomes = outcomes
        self._letters = letters

    async def carry_out(self, record: SourceRecord) -> None:
        """Raises ProducerUnusableError where not even the outcome can be written."""
        request = request_codec.decode(record.value)
        match request:
            case Garbage(reason=reason):
                return await self._letters.bury(record, reason)
            case UnknownType(type=name):
                return await self._letters.bury(record, f"the type {name} is not known")
            case NewerVersion(type=name, version=version):
                return await self._letters.bury(
                    record, f"version {version} of {name} is newer than this software"
                )
        if not isinstance(request.data, StoreMedia):
            return await self._letters.bury(record, "a request that this software cannot carry out")
        outcome = await self._settlement.settle(request.data)
        await self._outcomes.publish(request, request.data, outcome)
        crash_point("agent.after_emit_before_ack")
        log.info(
            "claim_settled",
            media_id=outcome.media_id,
            outcome=type(outcome).__name__,
            reason=getattr(outcome, "reason", None),
            traceparent=request.data.traceparent,
        )
        return None


class Acknowledger:
    """Runs a partition's records one at a time and acknowledges what is done, as long as it is still ours to do.

    After a rebalance Faust reads again from the committed offset, so what was begun before it is left alone: to
    acknowledge it could commit past a record that is being read again.
    """

    def __init__(self, app: Any, unit: UnitOfWork) -> None:
        self._app = app
        self._unit = unit
        # An actor that Faust restarts during a rebalance may run beside its successor for a moment.
        self._one_at_a_time: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def process(self, event: Any) -> None:
        message = event.message
        async with self._one_at_a_time[message.partition]:
            if not self._is_current(message):
                return
            record = SourceRecord(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                key=message.key,
                value=message.value,
            )
            try:
                await self._unit.carry_out(record)
            except ProducerUnusableError as error:
                die(f"no outcome could be written: {error}")
            except Exception:
                # What leaves this body makes Faust pass over the record; a restart reads it again.
                log.exception("claim_not_carried_out", partition=message.partition, offset=message.offset)
                die("a record could be neither settled nor buried")
            if self._is_current(message):
                event.ack()

    def _is_current(self, message: Any) -> bool:
        return bool(message.generation_id == self._app.consumer_generation_id)


def die(reason: str) -> NoReturn:
    """Ends the process at once, before anything more is acknowledged."""
    log.critical("media_agent_ends", reason=reason)
    logging.shutdown()
    os._exit(1)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Works until `stop` is set, then leaves the group; what is under way is done again by whoever comes next."""
    topic = topic_name(settings, MEDIA_REQUESTS)
    stillness = Stillness(settings.watchdog_s)
    async with AsyncExitStack() as stack:
        store = ObjectStore.from_settings(
            settings, concurrency=S3_CONCURRENCY, attempt_begun=stillness.progress
        )
        stack.callback(store.close)
        producer = ReplaceableProducer(settings)
        stack.push_async_callback(producer.stop)
        await _connected(producer, stop)
        reader = SegmentReader(settings, progress=stillness.progress)
        fetcher = MediaFetcher.from_settings(settings, progress=stillness.progress)
        unit = UnitOfWork(
            ClaimSettlement(settings, store, reader, fetcher, progress=stillness.progress),
            MediaOutcomes(settings, producer),
            DeadLetters(producer, topic_name(settings, MEDIA_REQUESTS_DLQ)),
        )
        app = create_app(settings)
        acknowledger = Acknowledger(app, unit)

        async def media_agent(stream: Any) -> None:
            # Acknowledged by us alone: a stream that is closed in mid-record would acknowledge it.
            async for event in stream.noack().events():
                await acknowledger.process(event)

        source = app.topic(
            topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(source, name=topic, concurrency=1, isolated_partitions=True)(media_agent)
        lag = GroupLag(settings, group=group_id(settings), topic=topic)
        await lag.start()
        stack.push_async_callback(lag.stop)
        await _run(app, lag, stillness, stop, settings)


async def _connected(producer: ReplaceableProducer, stop: asyncio.Event) -> None:
    """Waits for Kafka, however long it takes."""
    while not stop.is_set():
        try:
            return await producer.start()
        except KafkaError as error:
            log.warning("kafka_unreachable", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
    return None


async def _run(
    app: Any, lag: GroupLag, stillness: Stillness, stop: asyncio.Event, settings: Settings
) -> None:
    if stop.is_set():
        return

    def assigned() -> Collection[int]:
        return [place.partition for place in app.consumer.assignment()]

    # Faust makes the folder, but not those above it.
    settings.polylogue_home.mkdir(parents=True, exist_ok=True)
    await app.start()
    log.info("media_agent_ready", group=app.conf.id)
    watchdog = asyncio.ensure_future(
        watch(stillness, lag, assigned, every_s=min(5.0, settings.watchdog_s / 4))
    )
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([watchdog, crashed, stopping], return_when=asyncio.FIRST_COMPLETED)
    if watchdog.done():
        die(watchdog.result())
    if not stop.is_set():
        die(f"Faust stopped by itself: {app.crash_reason!r}")
    watchdog.cancel()
    try:
        await asyncio.wait_for(app.stop(), STOP_TIMEOUT_S)
    except TimeoutError:
        # Its session ends it; records under way are read again either way.
        die(f"the group was not left within {STOP_TIMEOUT_S:.0f} s")
    crashed.cancel()
