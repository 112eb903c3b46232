"""Writes the one outcome of a claim: an event for the conversation, then a usage event."""

from __future__ import annotations

from typing import Literal

from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, MEDIA_USAGE, topic_name
from polylogue.schemas.claims import MediaClaim, StoreMedia
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec, usage_codec
from polylogue.schemas.envelope import Event, Request, UsageEvent
from polylogue.schemas.events import (
    MediaFailed,
    MediaFailureReason,
    MediaOutcome,
    MediaRejected,
    MediaStored,
    RejectionReason,
)
from polylogue.schemas.usage import MediaUsageRecorded
from polylogue.streams.replaceable_producer import ReplaceableProducer

_NAMES: dict[type, Literal["stored", "rejected", "failed"]] = {
    MediaStored: "stored",
    MediaRejected: "rejected",
    MediaFailed: "failed",
}


def rejected(claim: MediaClaim, reason: RejectionReason, message: str) -> MediaRejected:
    return MediaRejected(
        media_id=claim.media_id,
        media_type=claim.media_type,
        reason=reason,
        message=message,
        retry=claim.retry,
    )


def failed(claim: MediaClaim, reason: MediaFailureReason, message: str) -> MediaFailed:
    return MediaFailed(
        media_id=claim.media_id,
        media_type=claim.media_type,
        reason=reason,
        message=message,
        retry=claim.retry,
    )


def outcome_event(request: Request, claim: MediaClaim, outcome: MediaOutcome, at_ms: int) -> Event:
    """The same fact has the same id, however often it is written; readers let the first one count."""
    return Event(
        event_id=f"{claim.media_id}.{type(outcome).__name__}.{claim.retry}",
        conversation_id=claim.conversation_id,
        owner_id=claim.owner_id,
        occurred_at=rfc3339(at_ms),
        turn_id=claim.turn_id,
        response_id=claim.response_id,
        causation_id=request.request_id,
        traceparent=request.data.traceparent if isinstance(request.data, StoreMedia) else None,
        data=outcome,
    )


def usage_event(claim: MediaClaim, outcome: MediaOutcome, produced_at_ms: int, at_ms: int) -> UsageEvent:
    stored = outcome if isinstance(outcome, MediaStored) else None
    name = _NAMES[type(outcome)]
    announced = claim.segments.size_bytes if claim.segments else 0
    return UsageEvent(
        event_id=f"{claim.media_id}.{name}.{claim.retry}",
        owner_id=claim.owner_id,
        occurred_at=rfc3339(at_ms),
        data=MediaUsageRecorded(
            outcome=name,
            media_id=claim.media_id,
            media_type=outcome.media_type,
            conversation_id=claim.conversation_id,
            response_id=claim.response_id,
            model=claim.model,
            provider=claim.model.partition("/")[0],
            size_bytes=stored.size_bytes if stored else announced,
            content_type=stored.content_type if stored else None,
            format=stored.format if stored else None,
            width=stored.width if stored else None,
            height=stored.height if stored else None,
            duration_ms=stored.duration_ms if stored else None,
            reason=None if isinstance(outcome, MediaStored) else outcome.reason,
            cost_usd_micros=claim.cost_usd_micros,
            latency_ms=max(0, at_ms - produced_at_ms),
        ),
    )


class MediaOutcomes:
    def __init__(self, settings: Settings, producer: ReplaceableProducer) -> None:
        self._producer = producer
        self._events = topic_name(settings, CONVERSATION_EVENTS)
        self._usage = topic_name(settings, MEDIA_USAGE)

    async def publish(self, request: Request, work: StoreMedia, outcome: MediaOutcome) -> None:
        """Returns when both are acknowledged. Raises ProducerUnusableError."""
        claim, at_ms = work.claim, now_ms()
        await self._producer.send(
            self._events,
            event_codec.encode(outcome_event(request, claim, outcome, at_ms)),
            key=claim.conversation_id.encode(),
            partition=claim.answer_partition,
        )
        await self._producer.send(
            self._usage,
            usage_codec.encode(usage_event(claim, outcome, work.produced_at_ms, at_ms)),
            key=claim.owner_id.encode(),
        )
