"""Every event on `conversation-events`: past-tense facts, versioned, immutable."""

from __future__ import annotations

from typing import Literal

import msgspec

from polylogue.schemas.base import MediaType, Payload, Value, registry
from polylogue.schemas.claims import MediaClaim

FailureClass = Literal[
    "auth",  # the gateway refused the key
    "rate_limited",
    "invalid_request",  # the gateway refused the request itself
    "content_filter",
    "upstream",  # an error of the gateway or the provider behind it
    "truncated",  # the stream ended without saying so
    "timeout",
    "connection",
    "protocol",  # what came was not what the protocol allows
    "limit",  # one of our own limits: time, bytes, media
    "interrupted",  # the runner died or was stopped
    "conflict",  # another turn of the conversation was running
    "unsupported",  # a command of a type or version that this runner does not know
]
CancelReason = Literal["user", "cost_limit", "conversation_deleted"]
RefusalReason = Literal[
    "disabled", "bad_base64", "too_large", "quota_exceeded", "unsupported", "overloaded", "video_failed"
]
RejectionReason = Literal[
    "size_mismatch",
    "hash_mismatch",
    "unsupported_type",
    "unsupported_codec",
    "too_large",
    "too_many_pixels",
    "too_many_frames",
    "too_costly",  # its check would take more memory or time than one file may have
    "truncated",
    "undecodable",
    "empty",
]
MediaFailureReason = Literal["storage_unavailable", "expired", "missing_segments", "fetch_failed", "internal"]


class LogCreated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The first record of every partition; names the log, so that a topic made anew is recognised."""

    log_id: str


class ParentRef(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Where a conversation branched off: it shares its parent's past up to a turn, or a single model's part of it."""

    conversation_id: str
    turn_id: str | None = (
        None  # the last turn that is shared; None: nothing but what the parent itself inherited
    )
    model: str | None = None  # a breakout's: other models' answers are not part of it


class ConversationStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    parent: ParentRef | None = None


class ConversationRenamed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    title: str


class ConversationPinned(Payload, frozen=True, kw_only=True, omit_defaults=True):
    pinned: bool


class ConversationShared(Payload, frozen=True, kw_only=True, omit_defaults=True):
    share_id: str | None = None  # None: the link was revoked


class ConversationDeleted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    reason: str = "user"


class ResponseSlot(Value, frozen=True, kw_only=True, omit_defaults=True):
    response_id: str
    model: str


class Attachment(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A stored picture: one that the user sent, under `private/`, or one that a model made, under `media/`."""

    key: str
    content_type: str
    size_bytes: int
    sha256: str


class PromptSubmitted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Opens a turn (round 1) or a further round of it; `responses` lists what the round adds, in order of request."""

    prompt: str
    responses: tuple[ResponseSlot, ...]
    round: int = 1
    system: str | None = None
    attachments: tuple[Attachment, ...] = ()


class AnswerRated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    best_response_id: str | None = None
    thumbs: dict[str, Literal["up", "down"]] = msgspec.field(default_factory=dict)
    note: str | None = None


class ResponseQueued(Payload, frozen=True, kw_only=True, omit_defaults=True):
    position: int


class ResponseStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    model: str
    media_enabled: bool = True


class ResponseNoted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    message: str


class TextAppended(Payload, frozen=True, kw_only=True, omit_defaults=True):
    text: str


class ReasoningAppended(Payload, frozen=True, kw_only=True, omit_defaults=True):
    text: str


class Usage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens as the gateway reported them (or as estimated, then `estimated` is true)."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    image_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False


class ResponseCompleted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    finish_reason: str
    native_finish_reason: str | None = None
    usage: Usage | None = None
    cost_usd_micros: int | None = None
    cost_estimated: bool = False
    time_to_first_token_ms: int | None = None
    duration_ms: int | None = None


class ResponseFailed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    failure_class: FailureClass
    message: str  # one sentence for the user
    retryable: bool
    usage: Usage | None = None
    cost_usd_micros: int | None = None
    duration_ms: int | None = None


class ResponseCancelled(Payload, frozen=True, kw_only=True, omit_defaults=True):
    reason: CancelReason = "user"
    usage: Usage | None = None
    cost_usd_micros: int | None = None
    duration_ms: int | None = None


class MediaJobStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's job for a minutes-long medium, so that a successor polls it instead of paying twice."""

    media_id: str
    media_type: MediaType
    job_id: str
    polling_url: str


class MediaRefused(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What never became a medium. Written by the runner."""

    media_id: str
    media_type: MediaType
    reason: RefusalReason
    message: str


class MediaProduced(Payload, frozen=True, kw_only=True, omit_defaults=True):
    claim: MediaClaim


class MediaValidated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The bytes were checked and accepted, and are now being stored. A notice and no outcome: it may be missing."""

    media_id: str
    media_type: MediaType
    format: str
    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    retry: int = 0


class Rendition(Value, frozen=True, kw_only=True, omit_defaults=True):
    name: Literal["webp", "thumbnail", "poster", "waveform"]
    key: str
    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None


class MediaStored(Payload, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    key: str
    url: str  # the unsigned URL of the day; readers make theirs from `key` and the present settings
    format: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    declared_content_type: str | None = None
    codec: str | None = None  # of sound and film, as FFmpeg names it; with both, "h264+aac"
    # Whether the file says of itself how it was made (C2PA, XMP); None: not looked for.
    provenance: bool | None = None
    # Those that were ready at once; others follow as MediaRenditionsStored.
    renditions: tuple[Rendition, ...] = ()
    retry: int = 0


class MediaRejected(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The bytes are not acceptable; trying again cannot help."""

    media_id: str
    media_type: MediaType
    reason: RejectionReason
    message: str
    retry: int = 0


class MediaFailed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The bytes could not be stored; a `MediaRetried` may follow."""

    media_id: str
    media_type: MediaType
    reason: MediaFailureReason
    message: str
    retry: int = 0


class MediaRetried(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A failed medium is tried again; `retry` counts from 1, and the outcome that follows carries the same number."""

    media_id: str
    media_type: MediaType
    retry: int


class MediaRenditionsStored(Payload, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    renditions: tuple[Rendition, ...]


class MediaExpired(Payload, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    reason: str = "lifecycle"


class MediaDeleted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    reason: str = "user"


EVENTS = registry(
    LogCreated,
    ConversationStarted,
    ConversationRenamed,
    ConversationPinned,
    ConversationShared,
    ConversationDeleted,
    PromptSubmitted,
    AnswerRated,
    ResponseQueued,
    ResponseStarted,
    ResponseNoted,
    TextAppended,
    ReasoningAppended,
    ResponseCompleted,
    ResponseFailed,
    ResponseCancelled,
    MediaJobStarted,
    MediaRefused,
    MediaProduced,
    MediaValidated,
    MediaStored,
    MediaRejected,
    MediaFailed,
    MediaRetried,
    MediaRenditionsStored,
    MediaExpired,
    MediaDeleted,
)

ResponseEnd = ResponseCompleted | ResponseFailed | ResponseCancelled
MediaOutcome = MediaStored | MediaRejected | MediaFailed
