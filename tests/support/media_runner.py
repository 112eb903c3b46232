"""Plays the runner towards a media agent: media as a runner leaves them, in the log and claimed."""

from __future__ import annotations

import hashlib
import secrets
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from polylogue.infra.kafka import idempotent_producer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, MEDIA_REQUESTS, MEDIA_SEGMENTS, topic_name
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim, MediumRef, PrepareMedia, SegmentRange, StoreMedia
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec, request_codec
from polylogue.schemas.envelope import Event, Request
from polylogue.schemas.events import (
    MediaProduced,
    PromptSubmitted,
    ResponseCompleted,
    ResponseSlot,
    ResponseStarted,
)
from tests.support.claims import claim_of

SEGMENT_BYTES = 512 * 1024
PARTITIONS = 3
OWNER = "local"
MODEL = "sim/painter"


def png(size_bytes: int) -> bytes:
    """A PNG of 2 × 1 pixels, made up to the size by a chunk of random bytes that no decoder looks at."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(6)))
    end = chunk(b"IEND", b"")
    rest = size_bytes - 8 - len(header) - len(pixels) - len(end) - 12
    filling = chunk(b"fiLl", secrets.token_bytes(max(0, rest)))
    return b"\x89PNG\r\n\x1a\n" + header + filling + pixels + end


def reference(claim: MediaClaim) -> MediumRef:
    """As the API names a medium that it wants removed."""
    return MediumRef(
        media_id=claim.media_id,
        media_type=claim.media_type,
        conversation_id=claim.conversation_id,
        owner_id=claim.owner_id,
        answer_partition=claim.answer_partition,
        key=claim.key,
        turn_id=claim.turn_id,
        response_id=claim.response_id,
        model=claim.model,
        size_bytes=claim.segments.size_bytes if claim.segments else None,
    )


@dataclass(frozen=True)
class Produced:
    """A medium as the runner left it: in the log, claimed, and not yet stored."""

    claim: MediaClaim
    data: bytes


class Runner:
    """Writes what the runner would write."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._producer = producer

    async def produce(
        self,
        data: bytes,
        *,
        requests_partition: int | None = None,
        produced_at_ms: int | None = None,
        announced: dict[str, Any] | None = None,
        conversation_id: str | None = None,
        claimed: bool = True,
        hinted: bool = False,
        **changes: Any,
    ) -> Produced:
        """Segments, the events of a whole response, and the claim, where it is not to be claimed in another way."""
        media_id = secrets.token_hex(16)
        conversation_id = conversation_id or secrets.token_hex(16)
        turn_id = secrets.token_hex(16)
        claim = claim_of(
            media_id,
            conversation_id=conversation_id,
            turn_id=turn_id,
            response_id=f"{turn_id}-1",
            owner_id=OWNER,
            model=MODEL,
            answer_partition=partition_for(conversation_id, PARTITIONS),
            segments=msgspec.structs.replace(await self.write_segments(media_id, data), **(announced or {})),
        )
        claim = msgspec.structs.replace(claim, **changes)
        if hinted:
            await self.hint(claim, requests_partition)
        await self._write_events(claim)
        if claimed:
            await self.write_claim(claim, requests_partition, produced_at_ms)
        return Produced(claim, data)

    async def write_segments(self, media_id: str, data: bytes) -> SegmentRange:
        topic = topic_name(self._settings, MEDIA_SEGMENTS)
        partition = partition_for(media_id, MEDIA_SEGMENTS.partitions)
        pieces = [data[at : at + SEGMENT_BYTES] for at in range(0, len(data), SEGMENT_BYTES)]
        offsets = []
        for number, piece in enumerate(pieces):
            headers = [("media_id", media_id.encode()), ("segment", str(number).encode())]
            # Another medium's segment and a double lie between, as they may.
            strange = [("media_id", b"other"), ("segment", b"0")]
            sent = await self._producer.send_and_wait(
                topic, piece, key=media_id.encode(), partition=partition, headers=headers
            )
            offsets.append(sent.offset)
            if number == 0 and len(pieces) > 1:
                await self._producer.send_and_wait(
                    topic, piece, key=media_id.encode(), partition=partition, headers=headers
                )
                await self._producer.send_and_wait(
                    topic, b"x", key=b"other", partition=partition, headers=strange
                )
        return SegmentRange(
            partition=partition,
            first_offset=offsets[0],
            last_offset=offsets[-1],
            count=len(pieces),
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )

    async def write_claim(
        self, claim: MediaClaim, requests_partition: int | None = None, produced_at_ms: int | None = None
    ) -> None:
        request = Request(
            request_id=f"{claim.media_id}.{claim.retry}",
            data=StoreMedia(claim=claim, produced_at_ms=produced_at_ms or now_ms()),
        )
        await self.write_request(request_codec.encode(request), claim.media_id.encode(), requests_partition)

    async def hint(self, claim: MediaClaim, requests_partition: int | None = None) -> None:
        """As while the medium still arrives."""
        assert claim.segments is not None
        hint = PrepareMedia(
            media_id=claim.media_id,
            key=claim.key,
            content_type="image/png",
            partition=claim.segments.partition,
            first_offset=claim.segments.first_offset,
            begun_at_ms=now_ms(),
        )
        await self.ask(hint, claim.media_id, requests_partition)

    async def ask(self, data: Payload, key: str, partition: int | None = None) -> None:
        """A request of any other kind."""
        request = Request(request_id=f"{type(data).__name__}-{secrets.token_hex(4)}", data=data)
        await self.write_request(request_codec.encode(request), key.encode(), partition)

    async def write_request(self, value: bytes, key: bytes, partition: int | None = None) -> None:
        await self._producer.send_and_wait(
            topic_name(self._settings, MEDIA_REQUESTS), value, key=key, partition=partition
        )

    async def write_event(self, claim: MediaClaim, data: Payload) -> None:
        """As a former attempt of an agent wrote it."""
        event = Event(
            event_id=f"{claim.media_id}.{type(data).__name__}.{claim.retry}",
            conversation_id=claim.conversation_id,
            owner_id=claim.owner_id,
            occurred_at=rfc3339(),
            turn_id=claim.turn_id,
            response_id=claim.response_id,
            data=data,
        )
        await self._append(claim, event)

    async def _append(self, claim: MediaClaim, event: Event) -> None:
        await self._producer.send_and_wait(
            topic_name(self._settings, CONVERSATION_EVENTS),
            event_codec.encode(event),
            key=claim.conversation_id.encode(),
            partition=claim.answer_partition,
        )

    async def _write_events(self, claim: MediaClaim) -> None:
        slot = ResponseSlot(response_id=claim.response_id, model=claim.model)
        facts: list[tuple[Any, int | None]] = [
            (PromptSubmitted(prompt="Draw", responses=(slot,)), None),
            (ResponseStarted(model=claim.model), 1),
            (MediaProduced(claim=claim), 2),
            (ResponseCompleted(finish_reason="stop"), 3),
        ]
        for data, sequence in facts:
            event = Event(
                event_id=f"{claim.response_id}.{sequence}",
                conversation_id=claim.conversation_id,
                owner_id=claim.owner_id,
                occurred_at=rfc3339(),
                turn_id=claim.turn_id,
                response_id=claim.response_id if sequence else None,
                attempt=1 if sequence else None,
                sequence=sequence,
                command_offset=None if sequence else 0,
                data=data,
            )
            await self._append(claim, event)


@asynccontextmanager
async def runner(settings: Settings) -> AsyncIterator[Runner]:
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        yield Runner(settings, producer)
    finally:
        await producer.stop()
