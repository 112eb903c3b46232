"""Media agents without the rest of the system: claims are laid out, and `polylogue media-agent` carries them out."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.processes import ROOT, BenchError
from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS, MEDIA_USAGE, topic_name
from polylogue.media.keys import object_key
from polylogue.schemas.claims import MediaClaim, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import request_codec, usage_codec
from polylogue.schemas.envelope import Request, UsageEvent
from polylogue.schemas.usage import MediaUsageRecorded
from polylogue.streams.replaceable_producer import ReplaceableProducer
from polylogue.streams.segments import MediaOutbox

MODEL = "bench/picture"
OWNER = "bench"
READY_S, DONE_S = 60.0, 300.0
ASK_EVERY_S = 0.02


class Claims:
    """Plays the runner: bytes first, then claims, as many at a time as a figure wants."""

    def __init__(self, settings: Settings) -> None:
        self._outbox = MediaOutbox(settings)
        self._producer = ReplaceableProducer(settings)
        self._requests = topic_name(settings, MEDIA_REQUESTS)

    async def lay(self, data: bytes) -> MediaClaim:
        media_id = uuid.uuid4().hex
        segments = await self._outbox.write_segments(media_id, data, hashlib.sha256(data).hexdigest())
        return MediaClaim(
            media_id=media_id,
            media_type="image",
            conversation_id=media_id,
            turn_id=media_id,
            response_id=f"{media_id}-1",
            owner_id=OWNER,
            model=MODEL,
            key=object_key("image", media_id, MODEL, "20260102", media_id, "png"),
            format="png",
            content_type="image/png",
            answer_partition=0,
            segments=segments,
        )

    async def send(self, claims: Iterable[MediaClaim], partitions: int) -> None:
        """In turn to the first so many partitions."""
        sent = [
            self._send(StoreMedia(claim=claim, produced_at_ms=now_ms()), number % partitions)
            for number, claim in enumerate(claims)
        ]
        await asyncio.gather(*sent)

    async def _send(self, data: StoreMedia, partition: int) -> None:
        request = Request(request_id=f"{data.claim.media_id}.0", data=data)
        key = data.claim.media_id.encode()
        await self._producer.send(self._requests, request_codec.encode(request), key=key, partition=partition)

    async def close(self) -> None:
        await self._outbox.close()
        await self._producer.stop()


@asynccontextmanager
async def claims(settings: Settings) -> AsyncIterator[Claims]:
    made = Claims(settings)
    try:
        yield made
    finally:
        await made.close()


@dataclass
class Counted:
    """What `media-usage` says, from its start on."""

    consumer: AIOKafkaConsumer
    by_media_id: dict[str, MediaUsageRecorded]

    async def of(self, media_ids: Iterable[str]) -> list[MediaUsageRecorded]:
        """Returns as soon as the last of them has its outcome. Raises BenchError for one that is not stored."""
        wanted = list(media_ids)
        try:
            async with asyncio.timeout(DONE_S):
                while not all(media_id in self.by_media_id for media_id in wanted):
                    for records in (await self.consumer.getmany(timeout_ms=50)).values():
                        for record in records:
                            self._take(record.value)
        except TimeoutError:
            raise BenchError("some media have no outcome") from None
        found = [self.by_media_id[media_id] for media_id in wanted]
        if any(one.outcome != "stored" for one in found):
            raise BenchError(f"not every medium was stored: {[one.reason for one in found]}")
        return found

    def _take(self, value: bytes | None) -> None:
        event = usage_codec.decode(value)
        if isinstance(event, UsageEvent) and isinstance(event.data, MediaUsageRecorded):
            self.by_media_id.setdefault(event.data.media_id, event.data)


@asynccontextmanager
async def counted(settings: Settings) -> AsyncIterator[Counted]:
    consumer = manual_consumer(settings, auto_offset_reset="earliest")
    await consumer.start()
    try:
        topic = topic_name(settings, MEDIA_USAGE)
        consumer.assign([TopicPartition(topic, number) for number in range(MEDIA_USAGE.partitions)])
        yield Counted(consumer, {})
    finally:
        await consumer.stop()


@contextmanager
def agent(settings: Settings, folder: Path) -> Iterator[int]:
    """The agent as its own command; yields its process id once it serves."""
    named = {
        name.upper(): str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
        for name, value in settings
        if value is not None
    }
    log = folder / f"agent-{uuid.uuid4().hex[:6]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "polylogue.cli.main", "media-agent"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | named,
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + READY_S
        while b"media_agent_ready" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the media agent does not serve")
            time.sleep(ASK_EVERY_S)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
