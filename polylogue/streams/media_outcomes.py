"""Writes what the media agent has to tell: events for the conversation, and usage events."""

from __future__ import annotations

from polylogue.infra.crash_points import crash_point
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, MEDIA_USAGE, topic_name
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim, MediumRef
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import event_codec, usage_codec
from polylogue.schemas.envelope import Event, UsageEvent
from polylogue.schemas.events import (
    MediaDeleted,
    MediaExpired,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    MediaValidated,
)
from polylogue.schemas.usage import MediaUsageRecorded, Outcome
from polylogue.streams.media_work import Settled, Work
from polylogue.streams.replaceable_producer import ReplaceableProducer

_NAMES: dict[str, Outcome] = {
    "MediaStored": "stored",
    "MediaRejected": "rejected",
    "MediaFailed": "failed",
    "MediaDeleted": "deleted",
    "MediaExpired": "expired",
}


def work_event(work: Work, data: Payload, at_ms: int) -> Event:
    """The same fact has the same id, however often it is written; readers let the first one count."""
    claim = work.claim
    return Event(
        event_id=f"{claim.media_id}.{type(data).__name__}.{claim.retry}",
        conversation_id=claim.conversation_id,
        owner_id=claim.owner_id,
        occurred_at=rfc3339(at_ms),
        turn_id=claim.turn_id,
        response_id=claim.response_id,
        causation_id=work.request_id,
        traceparent=work.traceparent,
        data=data,
    )


def work_usage(work: Work, settled: Settled, at_ms: int) -> UsageEvent:
    claim, outcome = work.claim, settled.outcome
    stored = outcome if isinstance(outcome, MediaStored) else None
    name = _NAMES[type(outcome).__name__]
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
            provider=_provider(claim.model),
            size_bytes=stored.size_bytes if stored else announced,
            content_type=stored.content_type if stored else None,
            format=stored.format if stored else None,
            width=stored.width if stored else None,
            height=stored.height if stored else None,
            duration_ms=stored.duration_ms if stored else None,
            reason=None if isinstance(outcome, MediaStored) else outcome.reason,
            cost_usd_micros=claim.cost_usd_micros,
            latency_ms=max(0, at_ms - work.since_ms),
            steps=settled.steps,
        ),
    )


def removal_event(
    request_id: str, medium: MediumRef, data: MediaDeleted | MediaExpired, traceparent: str | None, at_ms: int
) -> Event:
    return Event(
        event_id=f"{medium.media_id}.{type(data).__name__}.0",
        conversation_id=medium.conversation_id,
        owner_id=medium.owner_id,
        occurred_at=rfc3339(at_ms),
        turn_id=medium.turn_id,
        response_id=medium.response_id,
        causation_id=request_id,
        traceparent=traceparent,
        data=data,
    )


def removal_usage(medium: MediumRef, data: MediaDeleted | MediaExpired, at_ms: int) -> UsageEvent:
    name = _NAMES[type(data).__name__]
    return UsageEvent(
        event_id=f"{medium.media_id}.{name}.0",
        owner_id=medium.owner_id,
        occurred_at=rfc3339(at_ms),
        data=MediaUsageRecorded(
            outcome=name,
            media_id=medium.media_id,
            media_type=medium.media_type,
            conversation_id=medium.conversation_id,
            response_id=medium.response_id or "",
            model=medium.model or "",
            provider=_provider(medium.model) if medium.model else None,
            size_bytes=medium.size_bytes or 0,
            reason=data.reason,
        ),
    )


class MediaOutcomes:
    """All but `validated` return when Kafka has acknowledged what they wrote, and raise ProducerUnusableError."""

    def __init__(self, settings: Settings, producer: ReplaceableProducer) -> None:
        self._producer = producer
        self._events = topic_name(settings, CONVERSATION_EVENTS)
        self._usage = topic_name(settings, MEDIA_USAGE)

    async def settled(self, work: Work, settled: Settled) -> None:
        at_ms = now_ms()
        await self._tell(work_event(work, settled.outcome, at_ms), work.claim)
        crash_point("agent.after_outcome_before_usage")
        await self._count(work_usage(work, settled, at_ms))

    async def noted(self, work: Work, data: MediaRetried | MediaRenditionsStored) -> None:
        await self._tell(work_event(work, data, now_ms()), work.claim)

    def validated(self, work: Work, data: MediaValidated) -> None:
        """Nobody waits for it, and no outcome depends on it; what is told after it lies after it."""
        event = work_event(work, data, now_ms())
        self._producer.send_unheeded(
            self._events,
            event_codec.encode(event),
            key=event.conversation_id.encode(),
            partition=work.claim.answer_partition,
        )

    async def removed(
        self, request_id: str, medium: MediumRef, data: MediaDeleted | MediaExpired, traceparent: str | None
    ) -> None:
        at_ms = now_ms()
        await self._tell(removal_event(request_id, medium, data, traceparent, at_ms), medium)
        await self._count(removal_usage(medium, data, at_ms))

    async def _tell(self, event: Event, place: MediaClaim | MediumRef) -> None:
        await self._producer.send(
            self._events,
            event_codec.encode(event),
            key=event.conversation_id.encode(),
            partition=place.answer_partition,
        )

    async def _count(self, usage: UsageEvent) -> None:
        await self._producer.send(self._usage, usage_codec.encode(usage), key=usage.owner_id.encode())


def _provider(model: str) -> str:
    return model.partition("/")[0]
