"""The browser contract: every SSE frame, a closed table. The JSON is the same on all transports."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from polylogue.schemas.base import MediaType


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Frame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="type",
    tag=lambda name: _snake(name.removesuffix("Frame")),
):
    """`type` comes first in the JSON; unknown types and fields are to be ignored by readers."""


class PlacedFrame(Frame, frozen=True, kw_only=True, omit_defaults=True):
    """A frame that comes from an event; `id` is the cursor that resumes right after it."""

    id: str
    conversation_id: str
    turn_id: str | None = None


class ResponseFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    model: str
    response_id: str


class TurnFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    """The first frame of a turn or of a further round of it."""

    prompt: str
    models: tuple[str, ...]


class ConversationFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    change: Literal["started", "renamed", "pinned", "shared", "deleted"]
    title: str | None = None


class StartFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    """Sent for all models of a round up front in order of request, and again for each further attempt."""

    attempt: int


class QueuedFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    position: int


class ChunkFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    content: str


class ReasoningFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    content: str


class NoteFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    message: str


PendingPhase = Literal["generating", "validating", "uploading"]


class MediaPendingFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    """Sent again at each further phase of the medium, in their order; any of them may be missing."""

    media_id: str
    media_type: MediaType
    phase: PendingPhase
    format: str | None = None
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None


class FrameRendition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    url: str
    content_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None


class MediaFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    """`media_url` and `media_format` repeat `url` and `format` under the names that older clients read."""

    media_id: str
    media_type: MediaType
    url: str
    format: str
    content_type: str
    size_bytes: int
    media_url: str
    media_format: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    renditions: tuple[FrameRendition, ...] | None = None


class MediaRenditionsFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    renditions: tuple[FrameRendition, ...]


class MediaFailedFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    reason: str
    message: str


class MediaDeletedFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    reason: str
    model: str | None = None
    response_id: str | None = None


class MediaExpiredFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    reason: str
    model: str | None = None
    response_id: str | None = None


class FrameUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    image_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False


class DoneFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    """The response has ended; media of it may follow. A stopped one is `error` false and `cancelled`."""

    error: bool
    finish_reason: str
    message: str | None = None
    retryable: bool | None = None
    usage: FrameUsage | None = None
    cost_usd: float | None = None


class CompleteMetadata(msgspec.Struct, frozen=True, kw_only=True):
    conversation_id: str
    input_length: int  # characters of the prompt
    models_requested: int
    models_successful: int
    models_failed: int
    models_cancelled: int
    timestamp: str  # RFC 3339
    processing_time_ms: int


class CompleteFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    """Every response of the round and every medium of it has its outcome."""

    metadata: CompleteMetadata


class SnapshotMedium(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    status: str
    url: str | None = None
    format: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    renditions: tuple[FrameRendition, ...] | None = None
    reason: str | None = None


class SnapshotFrame(ResponseFrame, frozen=True, kw_only=True, omit_defaults=True):
    """One response so far."""

    content: str
    reasoning: str
    media: tuple[SnapshotMedium, ...]
    status: str


class GapFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    reason: Literal["retention", "slow", "shutdown"]
    resume_from: str


class KeepaliveFrame(Frame, frozen=True, kw_only=True, omit_defaults=True):
    model: str | None = None


class ErrorFrame(PlacedFrame, frozen=True, kw_only=True, omit_defaults=True):
    """Only where nothing succeeded: directly before `complete`, never instead of it."""

    message: str


FRAMES: tuple[type[Frame], ...] = (
    StartFrame,
    TurnFrame,
    ConversationFrame,
    QueuedFrame,
    ChunkFrame,
    ReasoningFrame,
    NoteFrame,
    MediaPendingFrame,
    MediaFrame,
    MediaRenditionsFrame,
    MediaFailedFrame,
    MediaDeletedFrame,
    MediaExpiredFrame,
    DoneFrame,
    CompleteFrame,
    SnapshotFrame,
    GapFrame,
    KeepaliveFrame,
    ErrorFrame,
)
FRAME_TYPES: dict[str, type[Frame]] = {str(frame.__struct_config__.tag): frame for frame in FRAMES}

_encoder = msgspec.json.Encoder()


def encode_frame(frame: Frame) -> bytes:
    """The JSON of a frame, on one line."""
    return _encoder.encode(frame)


def decode_frame(raw: bytes | str) -> Frame | None:
    """The frame of a `data:` line; None for a type this version does not know. Raises msgspec.ValidationError.

    A phase that it does not know is one more on the way to the outcome, and no reason to end the stream.
    """
    head: dict[str, Any] = msgspec.json.decode(raw)
    frame = FRAME_TYPES.get(head.get("type", ""))
    if frame is MediaPendingFrame and isinstance(phase := head.get("phase"), str):
        head["phase"] = phase if phase in get_args(PendingPhase) else "uploading"
    return None if frame is None else msgspec.convert(head, frame)
