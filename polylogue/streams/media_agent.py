"""The media agent: one record of `media-requests` after another is carried out and acknowledged.

Run it with `run_process("media-agent", settings, serve)`. A partition settles one claim at a time; parallel work comes
from partitions and from more processes, and from the smaller versions, which are made beside the next claims.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

from aiokafka.errors import KafkaError

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_REQUESTS_DLQ, topic_name
from polylogue.media.fetch import MediaFetcher
from polylogue.media.store import ObjectStore
from polylogue.media.validation import ValidationPool
from polylogue.schemas.claims import (
    DeleteConversationMedia,
    DeleteMedia,
    ExpireMedia,
    PrepareMedia,
    RetryMedia,
    StoreMedia,
)
from polylogue.streams.acknowledger import Acknowledger, die
from polylogue.streams.claim_settlement import ClaimSettlement
from polylogue.streams.conversation_removal import ConversationRemoval
from polylogue.streams.dead_letters import DeadLetters
from polylogue.streams.faust_app import create_app, group_id
from polylogue.streams.media_ahead import MediaAhead
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_removal import MediaRemoval
from polylogue.streams.media_renditions import MediaRenditions
from polylogue.streams.media_requests import MediaRequests
from polylogue.streams.media_storing import MediaStoring
from polylogue.streams.media_watchdog import GroupLag, Stillness, watch
from polylogue.streams.replaceable_producer import ReplaceableProducer
from polylogue.streams.segment_reader import SegmentReader

STOP_TIMEOUT_S = 8.0  # SIGTERM promises 10 s
S3_CONCURRENCY = 10
LOOK_EVERY_S = 3.0  # for records that were overlooked, and for standing still

log = get_logger(__name__)


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
        pool = ValidationPool.from_settings(settings)
        stack.push_async_callback(pool.close)
        starting = asyncio.ensure_future(_started(pool))
        stack.callback(starting.cancel)
        reader = SegmentReader(settings, progress=stillness.progress)
        ahead = MediaAhead(settings, reader, store)
        stack.push_async_callback(ahead.close)
        requests = _requests(settings, store, reader, ahead, pool, producer, stillness)
        app = create_app(settings)
        acknowledger = Acknowledger(app, requests)
        stack.push_async_callback(acknowledger.close)

        async def media_agent(stream: Any) -> None:
            # Acknowledged by us alone: a stream that is closed in mid-record would acknowledge it.
            async for event in stream.noack().events():
                await acknowledger.process(event)

        source = app.topic(
            topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(source, name=topic, concurrency=1, isolated_partitions=True)(media_agent)
        lag = GroupLag(settings, group=group_id(settings), topic=topic)
        stack.push_async_callback(lag.stop)
        await lag.start()
        await starting
        await _run(app, acknowledger, lag, stillness, stop, settings)


def _requests(  # noqa: PLR0917 (everything that `serve` has made)
    settings: Settings,
    store: ObjectStore,
    reader: SegmentReader,
    ahead: MediaAhead,
    pool: ValidationPool,
    producer: ReplaceableProducer,
    stillness: Stillness,
) -> MediaRequests:
    """Who carries out what."""
    progress = stillness.progress
    outcomes = MediaOutcomes(settings, producer)
    settlement = ClaimSettlement(
        settings,
        store,
        reader,
        MediaFetcher.from_settings(settings, progress=progress),
        pool,
        prepared=ahead.take,
        accepted=outcomes.validated,
        progress=progress,
    )
    renditions = MediaRenditions(pool, store, outcomes, progress=progress)
    storing = MediaStoring(settlement, outcomes, renditions)
    removal = MediaRemoval(settings, store, outcomes, quiet=renditions.ended, progress=progress)
    return MediaRequests(
        {
            PrepareMedia: ahead.prepare,
            StoreMedia: storing.store,
            RetryMedia: storing.retry,
            DeleteMedia: removal.delete,
            ExpireMedia: removal.expire,
            DeleteConversationMedia: ConversationRemoval(removal).delete,
        },
        DeadLetters(producer, topic_name(settings, MEDIA_REQUESTS_DLQ)),
    )


async def _started(pool: ValidationPool) -> None:
    """Before the first claim, so that no medium waits for decoders to be loaded; what fails is tried again then."""
    try:
        await pool.start()
    except OSError as error:
        log.warning("validation_not_started", error=type(error).__name__)


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


async def _run(  # noqa: PLR0917 (everything that `serve` has made)
    app: Any,
    acknowledger: Acknowledger,
    lag: GroupLag,
    stillness: Stillness,
    stop: asyncio.Event,
    settings: Settings,
) -> None:
    if stop.is_set():
        return
    # Faust makes the folder, but not those above it.
    settings.polylogue_home.mkdir(parents=True, exist_ok=True)
    await app.start()
    log.info("media_agent_ready", group=app.conf.id)
    watchdog = asyncio.ensure_future(
        watch(stillness, lag, acknowledger, every_s=min(LOOK_EVERY_S, settings.watchdog_s / 4))
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
