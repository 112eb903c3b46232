"""Frames as the API sends them, made in few words."""

from __future__ import annotations

from typing import Any

from polylogue.client import Received
from polylogue.schemas import frames
from polylogue.schemas.clock import rfc3339

CONVERSATION, TURN = "c1", "t1"


class Script:
    """Makes frames of one turn with rising ids."""

    def __init__(self) -> None:
        self._sequence = 0

    def _placed(self) -> dict[str, Any]:
        self._sequence += 1
        return {"id": f"{self._sequence:08d}", "conversation_id": CONVERSATION, "turn_id": TURN}

    def _of(self, model: str) -> dict[str, Any]:
        return self._placed() | {"model": model, "response_id": f"{TURN}-{model}"}

    def turn(self, *models: str, prompt: str = "Hello") -> frames.Frame:
        return frames.TurnFrame(**self._placed(), prompt=prompt, models=models)

    def start(self, model: str, attempt: int = 1) -> frames.Frame:
        return frames.StartFrame(**self._of(model), attempt=attempt)

    def chunk(self, model: str, content: str) -> frames.Frame:
        return frames.ChunkFrame(**self._of(model), content=content)

    def reasoning(self, model: str, content: str) -> frames.Frame:
        return frames.ReasoningFrame(**self._of(model), content=content)

    def pending(
        self, model: str, media_id: str = "m1", phase: frames.PendingPhase = "uploading"
    ) -> frames.Frame:
        return frames.MediaPendingFrame(**self._of(model), media_id=media_id, media_type="image", phase=phase)

    def media(self, model: str, media_id: str = "m1", url: str = "http://s3/m1.png") -> frames.Frame:
        return frames.MediaFrame(
            **self._of(model),
            media_id=media_id,
            media_type="image",
            url=url,
            format="png",
            content_type="image/png",
            size_bytes=12_345,
            media_url=url,
            media_format="png",
            width=64,
            height=48,
        )

    def media_failed(self, model: str, media_id: str = "m1") -> frames.Frame:
        return frames.MediaFailedFrame(
            **self._of(model), media_id=media_id, media_type="image", reason="too_large", message="Too large."
        )

    def media_deleted(self, media_id: str = "m1") -> frames.Frame:
        return frames.MediaDeletedFrame(**self._placed(), media_id=media_id, reason="asked")

    def done(
        self, model: str, *, error: bool = False, reason: str = "stop", message: str | None = None
    ) -> frames.Frame:
        return frames.DoneFrame(**self._of(model), error=error, finish_reason=reason, message=message)

    def gap(self, resume_from: str, reason: str = "slow") -> frames.Frame:
        return frames.GapFrame(**self._placed(), reason=reason, resume_from=resume_from)  # type: ignore[arg-type]

    def complete(self, models: int = 1) -> frames.Frame:
        return frames.CompleteFrame(
            **self._placed(),
            metadata=frames.CompleteMetadata(
                conversation_id=CONVERSATION,
                input_length=5,
                models_requested=models,
                models_successful=models,
                models_failed=0,
                models_cancelled=0,
                timestamp=rfc3339(0),
                processing_time_ms=10,
            ),
        )


def received(frame: frames.Frame) -> Received:
    return Received(frames.encode_frame(frame), frame)
