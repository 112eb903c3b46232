"""The public contract of the `media-usage` topic: one event per medium and outcome."""

from __future__ import annotations

from typing import Literal

from polylogue.schemas.base import MediaType, Payload, Value, registry

Outcome = Literal["stored", "rejected", "failed", "deleted", "expired"]


class Steps(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How long each step took, in milliseconds; None where it was not taken."""

    queued: int | None = None  # from the MediaProduced record until the agent began
    read: int | None = None  # segments from Kafka, or the fetch of a URL
    validate: int | None = None
    upload: int | None = None


class MediaUsageRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Counting exactly once means counting each `event_id` of the envelope once: delivery is at least once."""

    outcome: Outcome
    media_id: str
    media_type: MediaType
    conversation_id: str
    response_id: str  # of a removal whose request did not say: empty, as the model then is
    model: str
    size_bytes: int
    provider: str | None = None
    content_type: str | None = None
    format: str | None = None
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    cost_usd_micros: int | None = None
    latency_ms: int | None = None  # from the MediaProduced record to the outcome
    steps: Steps | None = None


USAGE = registry(MediaUsageRecorded)
