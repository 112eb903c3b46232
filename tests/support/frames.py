"""Any sequence of frames of a turn, sensible or not: what a translation must make something well-formed of."""

from __future__ import annotations

from hypothesis import strategies as st

from polylogue.schemas import frames
from polylogue.schemas.base import MediaType

TURN = "a" * 32
MINE = f"{TURN}-1"
PLACE = {"id": "1-00000000-0000-000000000001-00-000000000001", "conversation_id": "c" * 32, "turn_id": TURN}
COMPLETE = frames.CompleteFrame(
    **PLACE,
    metadata=frames.CompleteMetadata(
        conversation_id="c" * 32,
        input_length=1,
        models_requested=1,
        models_successful=1,
        models_failed=0,
        models_cancelled=0,
        timestamp="2026-01-01T00:00:00Z",
        processing_time_ms=1,
    ),
)
STRANGERS: tuple[frames.Frame, ...] = (
    COMPLETE,
    frames.KeepaliveFrame(),
    frames.TurnFrame(**PLACE, prompt="p", models=("sim/text",)),
    frames.ConversationFrame(**PLACE, change="renamed", title="t"),
    frames.ErrorFrame(**PLACE, message="No model could answer."),
)


def chunk(content: str, response_id: str = MINE) -> frames.ChunkFrame:
    return frames.ChunkFrame(**PLACE, model="sim/text", response_id=response_id, content=content)


def reasoning(content: str, response_id: str = MINE) -> frames.ReasoningFrame:
    return frames.ReasoningFrame(**PLACE, model="sim/text", response_id=response_id, content=content)


def pending(
    media_id: str, media_type: MediaType = "image", phase: frames.PendingPhase = "validating"
) -> frames.MediaPendingFrame:
    return frames.MediaPendingFrame(
        **PLACE,
        model="sim/text",
        response_id=MINE,
        media_id=media_id,
        media_type=media_type,
        phase=phase,
    )


def stored(media_id: str, media_type: MediaType = "image") -> frames.MediaFrame:
    url = f"https://media.example/{media_id}"
    return frames.MediaFrame(
        **PLACE,
        model="sim/text",
        response_id=MINE,
        media_id=media_id,
        media_type=media_type,
        url=url,
        media_url=url,
        format="png",
        media_format="png",
        content_type="image/png",
        size_bytes=7,
    )


def failed(media_id: str) -> frames.MediaFailedFrame:
    return frames.MediaFailedFrame(
        **PLACE,
        model="sim/text",
        response_id=MINE,
        media_id=media_id,
        media_type="image",
        reason="too_large",
        message="It is too large.",
    )


def started(attempt: int, response_id: str = MINE) -> frames.StartFrame:
    return frames.StartFrame(**PLACE, model="sim/text", response_id=response_id, attempt=attempt)


def done(
    reason: str = "stop",
    *,
    message: str | None = None,
    retryable: bool | None = None,
    response_id: str = MINE,
    usage: frames.FrameUsage | None = None,
) -> frames.DoneFrame:
    return frames.DoneFrame(
        **PLACE,
        model="sim/text",
        response_id=response_id,
        error=reason == "error",
        finish_reason=reason,
        message=message,
        retryable=retryable,
        usage=usage,
    )


def cut(reason: str = "shutdown") -> frames.GapFrame:
    return frames.GapFrame(**PLACE, reason=reason, resume_from=PLACE["id"])  # type: ignore[arg-type]  # any of its literals


_IDS = st.sampled_from([MINE, MINE, f"{TURN}-2", ""])
_TEXTS = st.text(max_size=5)
_MEDIA = st.sampled_from(["m1", "m2"])
_KINDS: st.SearchStrategy[MediaType] = st.sampled_from(["image", "audio", "video"])
_REASONS = st.sampled_from(["stop", "length", "content_filter", "cancelled", "error", "tool_calls"])
any_frame: st.SearchStrategy[frames.Frame] = st.one_of(
    st.builds(chunk, _TEXTS, _IDS),
    st.builds(reasoning, _TEXTS, _IDS),
    st.builds(pending, _MEDIA, _KINDS),
    st.builds(stored, _MEDIA, _KINDS),
    st.builds(failed, _MEDIA),
    st.builds(started, st.integers(1, 2), _IDS),
    st.builds(lambda reason, who: done(reason, response_id=who), _REASONS, _IDS),
    st.builds(cut),
    st.sampled_from(STRANGERS),
)
any_frames = st.lists(any_frame, max_size=30)
