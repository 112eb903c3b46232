"""The sweeper on real Kafka and S3: it ends what nobody finished, and removes what nobody is shown."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from polylogue.infra.kafka import client_options, idempotent_producer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, MEDIA_REQUESTS, MEDIA_SEGMENTS, topic_name
from polylogue.media.bucket_contents import BucketContents
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import ExpireMedia, MediaClaim, StoreMedia
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec, request_codec
from polylogue.schemas.envelope import Event, Request
from polylogue.schemas.events import MediaDeleted, MediaExpired, MediaFailed, MediaStored
from polylogue.schemas.visibility import ConversationState, admit
from polylogue.streams.sweeper import serve
from tests.support.media_agent import agent
from tests.support.media_log import Records, events, visible_outcomes
from tests.support.media_runner import PARTITIONS, Produced, Runner, png, runner

WITHIN_S = 60
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def quick(prepared: Settings) -> Settings:
    """A sweeper that looks all the time and waits for nothing."""
    return prepared.model_copy(
        update={"media_sweep_interval_s": 0.2, "media_deadline_s": 1.0, "media_remove_after_s": 1.0}
    )


@asynccontextmanager
async def sweeping(settings: Settings, clock: Callable[[], int] = now_ms) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop, clock=clock))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


async def say(
    settings: Settings, claim: MediaClaim, data: Payload, *, command_offset: int | None = None
) -> None:
    """Writes what the media agent would write of a medium, or a runner of a conversation."""
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        event = Event(
            event_id=secrets.token_hex(8),
            conversation_id=claim.conversation_id,
            owner_id=claim.owner_id,
            occurred_at=rfc3339(),
            turn_id=claim.turn_id,
            response_id=claim.response_id if command_offset is None else None,
            command_offset=command_offset,
            data=data,
        )
        await producer.send_and_wait(
            topic_name(settings, CONVERSATION_EVENTS),
            event_codec.encode(event),
            key=claim.conversation_id.encode(),
            partition=claim.answer_partition,
        )
    finally:
        await producer.stop()


def stored(claim: MediaClaim) -> MediaStored:
    return MediaStored(
        media_id=claim.media_id,
        media_type="image",
        key=claim.key,
        url="https://example.invalid/a.png",
        format="png",
        content_type="image/png",
        size_bytes=1,
        sha256="0" * 64,
    )


class Bucket:
    def __init__(self, settings: Settings) -> None:
        self._name = settings.s3_media_bucket
        self._contents = BucketContents.from_settings(settings)
        self._client = self._contents._client

    def put(self, *keys: str) -> None:
        for key in keys:
            self._client.put_object(Bucket=self._name, Key=key, Body=b"x")

    def keys(self) -> set[str]:
        return {one.key for one in self._contents.objects("")}

    def begin_upload(self, key: str) -> None:
        self._client.create_multipart_upload(Bucket=self._name, Key=key)

    def uploads(self) -> set[str]:
        return {one.key for one in self._contents.half_done_uploads()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def requests(settings: Settings) -> AsyncIterator[Records]:
    async with Records(settings, MEDIA_REQUESTS).open(MEDIA_REQUESTS.partitions) as records:
        yield records


def requests_in(records: Records, kind: type[Payload]) -> list[Payload]:
    decoded = [request_codec.decode(record.value) for record in records.records]
    return [one.data for one in decoded if isinstance(one, Request) and isinstance(one.data, kind)]


async def without_claim(play: Runner) -> Produced:
    """A medium of a runner that died right after MediaProduced: nobody was asked to store it."""
    return await play.produce(png(3000), claimed=False)


async def test_a_medium_that_a_dead_runner_left_behind_is_claimed_again_and_ends(quick: Settings) -> None:
    async with runner(quick) as play:
        medium = await without_claim(play)
        async with sweeping(quick), requests(quick) as asked:
            with agent(quick):
                events = Records(quick, CONVERSATION_EVENTS)
                async with events.open(PARTITIONS) as log:
                    found = await log.until(
                        lambda records: visible_outcomes(records, medium.claim)[0] != [], WITHIN_S
                    )
                    await asked.until(lambda records: records != [], WITHIN_S)
    [outcome], completed = visible_outcomes(found, medium.claim)
    assert isinstance(outcome, MediaStored)
    assert completed == 1
    first = requests_in(asked, StoreMedia)[0]
    assert isinstance(first, StoreMedia)
    assert first.claim == medium.claim


async def test_a_claim_whose_bytes_are_gone_ends_as_expired(quick: Settings) -> None:
    async with runner(quick) as play:
        medium = await without_claim(play)
        segments = medium.claim.segments
        assert segments is not None
        await delete_records(quick, MEDIA_SEGMENTS.name, segments.partition, segments.last_offset + 1)
        async with sweeping(quick):
            with agent(quick):
                async with events(quick) as log:
                    found = await log.until(
                        lambda records: visible_outcomes(records, medium.claim)[0] != [], WITHIN_S
                    )
    [outcome], _ = visible_outcomes(found, medium.claim)
    assert isinstance(outcome, MediaFailed)
    assert outcome.reason == "expired"


async def test_a_place_that_another_log_left_behind_is_not_believed(quick: Settings) -> None:
    async with runner(quick) as play:
        medium = await play.produce(png(3000), claimed=False)
    place = TopicPartition(topic_name(quick, CONVERSATION_EVENTS), medium.claim.answer_partition)
    former = AIOKafkaConsumer(
        **client_options(quick), group_id=f"{quick.kafka_topic_prefix}sweeper", enable_auto_commit=False
    )
    await former.start()
    try:
        former.assign([place])
        await former.commit({place: 1_000_000})
    finally:
        await former.stop()
    async with sweeping(quick), requests(quick) as asked:
        await asked.until(lambda _: requests_in(asked, StoreMedia) != [], WITHIN_S)


async def delete_records(settings: Settings, topic: str, partition: int, before: int) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        place = TopicPartition(settings.kafka_topic_prefix + topic, partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def test_objects_of_media_that_are_not_stored_go_and_the_others_stay(quick: Settings) -> None:
    bucket = Bucket(quick)
    async with runner(quick) as play:
        gone, kept, failed = [await without_claim(play) for _ in range(3)]
    thumbnail = gone.claim.key.removesuffix("png") + "thumbnail.webp"
    bucket.put(gone.claim.key, thumbnail, kept.claim.key, failed.claim.key)
    await say(quick, kept.claim, stored(kept.claim))
    await say(quick, gone.claim, stored(gone.claim))
    await say(quick, gone.claim, MediaDeleted(media_id=gone.claim.media_id, media_type="image"))
    cause = MediaFailed(
        media_id=failed.claim.media_id, media_type="image", reason="storage_unavailable", message="Away."
    )
    await say(quick, failed.claim, cause)
    async with sweeping(quick):
        await bucket.until(lambda: bucket.keys() == {kept.claim.key})
        # A straggler completes its upload after all, and says so: that too is removed.
        bucket.put(gone.claim.key)
        await say(quick, gone.claim, stored(gone.claim))
        await bucket.until(lambda: bucket.keys() == {kept.claim.key})


async def test_uploads_that_nobody_completes_are_aborted_and_young_ones_are_not(quick: Settings) -> None:
    bucket, hour_ms = Bucket(quick), 3600 * 1000
    bucket.begin_upload("media/image/c/m/20260101_old.png")
    async with runner(quick) as play:
        first, second = [await without_claim(play) for _ in range(2)]
    async with sweeping(quick, clock=lambda: now_ms() + hour_ms):
        for medium in (first, second):
            # Passes come one after another, so at the second's removal the first's pass is over.
            bucket.put(medium.claim.key)
            await say(quick, medium.claim, MediaDeleted(media_id=medium.claim.media_id, media_type="image"))
            await bucket.until(lambda: bucket.keys() == set())
    assert len(bucket.uploads()) == 1
    async with sweeping(quick, clock=lambda: now_ms() + 3 * hour_ms):
        await bucket.until(lambda: bucket.uploads() == set())


async def test_stored_media_are_asked_to_expire_when_their_days_are_over(quick: Settings) -> None:
    async with runner(quick) as play:
        old = await without_claim(play)
        await say(quick, old.claim, stored(old.claim))
        days = quick.media_lifecycle_days
        async with requests(quick) as asked, sweeping(quick, lambda: now_ms() + (days + 1) * DAY_MS):
            await asked.until(lambda _: requests_in(asked, ExpireMedia) != [], WITHIN_S)
        [expire] = requests_in(asked, ExpireMedia)
        assert isinstance(expire, ExpireMedia)
        assert (expire.medium.media_id, expire.medium.key) == (old.claim.media_id, old.claim.key)
        assert expire.medium.answer_partition == old.claim.answer_partition
        # Another one begins behind it, and what is young is left alone.
        young = await without_claim(play)
        await say(quick, young.claim, stored(young.claim))
        async with requests(quick) as asked, sweeping(quick, lambda: now_ms() + (days + 2) * DAY_MS):
            await asked.until(
                lambda _: any(
                    one.medium.media_id == young.claim.media_id  # type: ignore[attr-defined]
                    for one in requests_in(asked, ExpireMedia)
                ),
                WITHIN_S,
            )
        assert len(requests_in(asked, ExpireMedia)) == 2


async def test_an_old_medium_expires_for_readers_and_in_the_bucket(quick: Settings) -> None:
    bucket = Bucket(quick)

    def kinds(records: list[ConsumerRecord[bytes, bytes]]) -> list[type]:
        """Of the events of the medium that a reader is shown."""
        state, shown = ConversationState(), []
        for record in records:
            event = event_codec.decode(record.value)
            if isinstance(event, Event) and admit(state, event, record.offset).visible:
                shown.append(type(event.data))
        return shown

    async with runner(quick) as play, events(quick) as log:
        with agent(quick):
            medium = await play.produce(png(3000))
            await log.until(lambda records: MediaStored in kinds(records), WITHIN_S)
            present = bucket.keys()
            assert medium.claim.key in present
            later_ms = (quick.media_lifecycle_days + 1) * DAY_MS
            async with sweeping(quick, lambda: now_ms() + later_ms):
                await log.until(lambda records: MediaExpired in kinds(records), WITHIN_S)
                assert bucket.keys() == set()
