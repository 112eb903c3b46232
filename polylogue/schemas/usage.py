"""The public contract of the `media-usage` topic: one event per medium and outcome."""

from __future__ import annotations

from typing import Literal

from polylogue.schemas.base import MediaType, Payload, registry


class MediaUsageRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Counting exactly once means counting each `event_id` of the envelope once: delivery is at least once."""

    outcome: Literal["stored", "rejected", "failed", "deleted", "expired"]
    media_id: str
    media_type: MediaType
    conversation_id: str
    response_id: str
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


USAGE = registry(MediaUsageRecorded)
