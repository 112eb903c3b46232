"""What a gateway adapter emits, whatever protocol the gateway spoke."""

from __future__ import annotations

import msgspec

from polylogue.schemas.base import MediaType
from polylogue.schemas.events import FailureClass, RefusalReason, Usage


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    text: str


class AudioDelta(msgspec.Struct, frozen=True):
    """Sound is arriving; the whole of it follows as `MediaBytes`. Marks its place in the answer."""

    size_bytes: int


class MediaBytes(msgspec.Struct, frozen=True):
    """A whole medium. What the bytes really are is for the receiver to sniff."""

    media_type: MediaType
    data: bytes
    sha256: str  # lower-case hex
    declared_content_type: str | None = None

    def __repr__(self) -> str:  # payloads must not reach a log through a traceback
        return f"MediaBytes({self.media_type}, {len(self.data)} bytes, {self.declared_content_type})"


class MediaRemote(msgspec.Struct, frozen=True):
    """A medium that the provider keeps under a URL (http or https; the fetcher decides what it may open)."""

    media_type: MediaType
    url: str
    declared_content_type: str | None = None
    needs_key: bool = (
        False  # the gateway's bearer key has to be sent; only ever true for the gateway's own origin
    )
    expires_at_s: float | None = None  # Unix time after which a signed URL is dead

    def __repr__(self) -> str:  # such URLs are often signed
        return f"MediaRemote({self.media_type}, {self.declared_content_type})"


class JobStarted(msgspec.Struct, frozen=True):
    """The provider makes a medium that takes minutes; from now on it is paid for, and polled, not ordered again."""

    media_type: MediaType
    job_id: str
    polling_url: str  # absolute

    def __repr__(self) -> str:  # such URLs may be signed
        return f"JobStarted({self.media_type})"


class BadMedia(msgspec.Struct, frozen=True):
    media_type: MediaType
    reason: RefusalReason
    message: str


class Noted(msgspec.Struct, frozen=True):
    code: str
    message: str


class UsageReported(msgspec.Struct, frozen=True):
    """At most once an answer, just before its end."""

    usage: Usage
    cost_usd_micros: int | None = None


class Finished(msgspec.Struct, frozen=True):
    """The answer is whole. The last event, unless `UpstreamError` is."""

    finish_reason: str
    native_finish_reason: str | None = None


class UpstreamError(msgspec.Struct, frozen=True):
    """The answer has failed; what came before it stays. The last event."""

    failure_class: FailureClass
    message: str  # one sentence for the user
    retryable: bool
    retry_after_s: float | None = None


GatewayEvent = (
    TextDelta
    | ReasoningDelta
    | AudioDelta
    | MediaBytes
    | MediaRemote
    | JobStarted
    | BadMedia
    | Noted
    | UsageReported
    | Finished
    | UpstreamError
)
