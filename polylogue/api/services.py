"""What the routes work with: one of each for a process, made at its start and closed at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg
import psycopg_pool
from botocore.exceptions import BotoCoreError
from fastapi import Request

from polylogue.api import submissions
from polylogue.api.attachments import Attachments
from polylogue.api.byte_stream import Downloads
from polylogue.api.catch_up import LogReaders
from polylogue.api.command_log import CommandLog, KafkaAwayError
from polylogue.api.framing import UrlFor
from polylogue.api.gateway_models import GatewayModels
from polylogue.api.hub import Hub
from polylogue.api.log_names import log_names, remembered_by_tables
from polylogue.api.metrics import Metrics
from polylogue.api.openai.media_budget import HELD_BYTES, MediaBudget
from polylogue.api.places import Places, locate
from polylogue.api.submissions import Pool
from polylogue.api.tail import run_tail
from polylogue.infra.kafka import partition_for
from polylogue.infra.logs import get_logger
from polylogue.infra.postgres import create_pool
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, CONVERSATION_EVENTS, topic_name
from polylogue.media.quota_file import quotas_of
from polylogue.media.quotas import Quotas
from polylogue.media.reading import ObjectReader
from polylogue.media.store import ObjectStore
from polylogue.media.urls import UrlSigner, public_url, url_for_read
from polylogue.media.urls_cloudfront import CloudFrontUrls

EVICT_EVERY_S = 10.0
FORGET_EVERY_S = 3600.0
MOST_LAG = 10_000  # records; who comes now had better go to another server
CLOSE_S = 2.0  # of the ten that a process has to end
GUEST_URL_LIFE_S = 120
ANSWER_S = 1.5  # whoever asks for readiness waits two seconds

log = get_logger("polylogue.api")


@dataclass
class Services:
    settings: Settings
    pool: Pool
    places: Places
    hub: Hub
    readers: LogReaders
    commands: CommandLog
    models: GatewayModels
    attachments: Attachments
    metrics: Metrics
    url_for: UrlFor
    url_for_guests: UrlFor  # ends sooner: a link that is revoked must not live on in what it gave out
    reader: ObjectReader
    downloads: Downloads
    quotas: Quotas | None
    tail: asyncio.Task[None] | None = None
    tail_waits_for: str | None = "the event log is not read yet"
    looking: asyncio.Task[list[str]] | None = None
    background: set[asyncio.Task[None]] = field(default_factory=set)
    # Whoever makes a link holds a connection while its event is awaited; the others are for readers.
    inlining: MediaBudget = field(default_factory=lambda: MediaBudget(HELD_BYTES))
    sharing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def partition_of(self, conversation_id: str) -> int:
        """Raises NotReadyError."""
        self.hub.position(0)
        held = self.hub.find(conversation_id)
        return held.partition if held is not None else partition_for(conversation_id, len(self.hub.positions))

    async def missing(self) -> list[str]:
        """What keeps the first prompt from working, one sentence each.

        Anybody may ask, as often as they like: all who ask at once share one look at Kafka and the database.
        """
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._look())
        missing = await asyncio.shield(self.looking)
        return [*missing, "the process is stopping"] if self.hub.stopping else missing

    async def _look(self) -> list[str]:
        missing = await asyncio.gather(self._kafka_missing(), self._database_missing())
        return [one for one in missing if one is not None]

    async def _kafka_missing(self) -> str | None:
        if self.tail_waits_for:
            return f"Kafka: {self.tail_waits_for}"
        if self.tail is not None and self.tail.done():
            return "Kafka: the event log is read no more"
        if self.hub.lag > MOST_LAG:
            return f"Kafka: the event log is {self.hub.lag} records ahead of what was read"
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.commands.probe()
        except (KafkaAwayError, TimeoutError):
            return "Kafka: no answer"
        return None

    async def _database_missing(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_S), self.pool.connection(timeout=ANSWER_S) as connection:
                await connection.execute("SELECT 1 FROM submissions, conversation_turns LIMIT 1")
        except psycopg.errors.UndefinedTable:
            return "PostgreSQL: the tables are missing"
        except (psycopg.Error, TimeoutError):
            return "PostgreSQL: no answer"
        return None


async def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def media_urls(settings: Settings) -> UrlFor:
    """Object key → the URL that a reader is given. Raises SettingsError."""
    signer = UrlSigner(settings, create_s3_client(settings))
    cdn = CloudFrontUrls(settings) if settings.media_url_mode == "cloudfront-signed" else None

    def url_for(key: str) -> str:
        try:
            return url_for_read(settings, signer, key, cdn)
        except BotoCoreError as error:
            # Without credentials nobody can sign; the text must not suffer for it.
            log.warning("a URL could not be signed", error=type(error).__name__)
            return public_url(settings, key)

    return url_for


@asynccontextmanager
async def running_services(settings: Settings, metrics: Metrics) -> AsyncIterator[Services]:
    """Starts without waiting for any server: what is not there yet is said by /readyz."""
    quotas = quotas_of(settings)
    topic = topic_name(settings, CONVERSATION_EVENTS)
    readers = LogReaders(settings, topic)
    url_for = media_urls(settings)
    pool = create_pool(settings)

    async def safe_start(owner: str, conversation_id: str) -> int | None:
        place = await locate(pool, owner, conversation_id)
        return place.safe_start if place else None

    hub = Hub(
        locate=safe_start,
        read=readers.read,
        url_for=url_for,
        skipped=lambda reason: metrics.skipped.labels(reason).inc(),
        caught_up=metrics.catch_ups.inc,
        delivered=metrics.delivered,
        cut=lambda reason: metrics.cuts.labels(reason).inc(),
    )
    store = ObjectStore.from_settings(settings)
    services = Services(
        settings=settings,
        pool=pool,
        places=Places(pool),
        hub=hub,
        readers=readers,
        commands=CommandLog(settings, topic_name(settings, COMMANDS)),
        models=GatewayModels(settings),
        attachments=Attachments(settings, store),
        metrics=metrics,
        url_for=url_for,
        url_for_guests=media_urls(settings.model_copy(update={"media_url_life_s": GUEST_URL_LIFE_S})),
        reader=ObjectReader.from_settings(settings),
        downloads=Downloads(settings.media_downloads_at_once),
        quotas=quotas,
    )
    metrics.conversations.set_function(lambda: len(hub))
    metrics.lag.set_function(lambda: hub.lag)

    def explain(what: str | None) -> None:
        services.tail_waits_for = what

    names = partial(log_names, topic, readers, remembered_by_tables(pool))
    await services.pool.open(wait=False)
    services.tail = asyncio.create_task(run_tail(settings, topic, hub, names, explain))
    sweep = asyncio.create_task(_evict(hub))
    keeping = asyncio.create_task(hub.live.keep_alive(settings.sse_keepalive_s))
    forgetting = asyncio.create_task(_forget(services.pool))
    try:
        yield services
    finally:
        hub.stop()
        tasks = [services.tail, sweep, keeping, forgetting, *filter(None, [services.looking])]
        for task in tasks:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.gather(readers.close(), services.commands.close())
        except TimeoutError:
            log.warning("Kafka clients did not close in time")
        store.close()
        services.reader.close()
        await services.pool.close(timeout=CLOSE_S)


async def _evict(hub: Hub) -> None:
    while True:
        await asyncio.sleep(EVICT_EVERY_S)
        hub.evict()


async def _forget(pool: Pool) -> None:
    while True:
        await asyncio.sleep(FORGET_EVERY_S)
        try:
            await submissions.forget(pool)
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            log.warning("old submissions were not removed", error=type(error).__name__)
