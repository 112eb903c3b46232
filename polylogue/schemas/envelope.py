"""The envelopes around payloads, one for each kind of topic."""

from __future__ import annotations

from polylogue.schemas.base import Payload, Value


class Event(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `conversation-events`.

    `attempt` and `sequence` are set where the runner writes for a response, `command_offset` where no response is
    concerned. `type`, `data`, `time`-like and `traceparent` follow CloudEvents 1.0 where its names fit.
    """

    event_id: str  # deterministic: writing the same fact twice gives the same id
    conversation_id: str
    owner_id: str
    occurred_at: str  # RFC 3339, UTC, milliseconds
    data: Payload
    turn_id: str | None = None
    response_id: str | None = None
    attempt: int | None = None
    sequence: int | None = None
    command_offset: int | None = None
    causation_id: str | None = None  # the command_id or event_id that led to this
    traceparent: str | None = None  # W3C Trace Context
    key_id: str | None = None  # reserved: encryption per conversation


class Command(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `commands`."""

    command_id: str
    conversation_id: str
    turn_id: str  # empty where no turn is concerned
    owner_id: str
    issued_at: str  # RFC 3339, UTC, milliseconds
    first_sent_at_ms: int  # Unix ms; a resend keeps the first one's
    data: Payload
    resend: bool = False
    traceparent: str | None = None


class Request(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `media-requests`."""

    request_id: str
    data: Payload


class Control(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `controls`."""

    control_id: str
    issued_at: str  # RFC 3339, UTC, milliseconds
    data: Payload


class UsageEvent(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `media-usage`."""

    event_id: str
    owner_id: str
    occurred_at: str
    data: Payload
