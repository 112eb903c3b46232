"""What a reader has seen of a turn so far: frames in, the state of every answer out. No input or output of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from polylogue.schemas import frames
from polylogue.schemas.base import MediaType

Phase = Literal["waiting", "queued", "answering", "finished", "failed", "cancelled"]
ENDED: frozenset[Phase] = frozenset(("finished", "failed", "cancelled"))


@dataclass(kw_only=True)
class Medium:
    """`state` is the last that was heard: generating, validating, uploading, stored, failed, expired, deleted."""

    media_id: str
    media_type: MediaType
    state: str
    url: str | None = None
    format: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    message: str | None = None


@dataclass(kw_only=True)
class Answer:
    model: str
    response_id: str
    phase: Phase = "waiting"
    text: str = ""
    reasoning: str = ""
    notes: list[str] = field(default_factory=list)
    media: dict[str, Medium] = field(default_factory=dict)
    first_at_s: float | None = None
    ended_at_s: float | None = None
    message: str | None = None
    cost_usd: float | None = None

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    def seen(self, at_s: float) -> None:
        """Something of the answer itself has arrived."""
        self.first_at_s = at_s if self.first_at_s is None else self.first_at_s
        if not self.ended:
            self.phase = "answering"


@dataclass
class Comparison:
    """The answers of one turn, in order of request. `begun_at_s` is on the clock of the times given to `apply`."""

    begun_at_s: float
    answers: dict[str, Answer] = field(default_factory=dict)
    prompt: str | None = None
    conversation_id: str | None = None
    turn_id: str | None = None
    error: str | None = None
    gaps: list[str] = field(default_factory=list)
    metadata: frames.CompleteMetadata | None = None

    def apply(self, frame: frames.Frame | None, at_s: float) -> Answer | None:
        """Takes the next frame; returns the answer that it changed, if it concerns one."""
        if isinstance(frame, frames.PlacedFrame):
            self.conversation_id = frame.conversation_id
            self.turn_id = frame.turn_id or self.turn_id
        match frame:
            case frames.TurnFrame():
                self.prompt = frame.prompt
                self.metadata = None  # a further round of the same turn has begun
            case frames.ErrorFrame():
                self.error = frame.message
            case frames.GapFrame():
                self.gaps.append(frame.reason)
            case frames.CompleteFrame():
                self.metadata = frame.metadata
            case frames.MediaDeletedFrame() | frames.MediaExpiredFrame():
                return self._media_gone(frame)
            case frames.ResponseFrame():
                answer = self.answers.setdefault(
                    frame.response_id, Answer(model=frame.model, response_id=frame.response_id)
                )
                _advance(answer, frame, at_s)
                return answer
            case _:
                pass
        return None

    @property
    def complete(self) -> bool:
        return self.metadata is not None

    @property
    def every_model_failed(self) -> bool:
        return bool(self.answers) and all(answer.phase == "failed" for answer in self.answers.values())

    @property
    def media(self) -> list[tuple[Answer, Medium]]:
        return [(answer, medium) for answer in self.answers.values() for medium in answer.media.values()]

    def _media_gone(self, frame: frames.MediaDeletedFrame | frames.MediaExpiredFrame) -> Answer | None:
        state = "deleted" if isinstance(frame, frames.MediaDeletedFrame) else "expired"
        for answer, medium in self.media:
            if medium.media_id == frame.media_id:
                medium.state, medium.url, medium.message = state, None, frame.reason
                return answer
        return None


def _advance(answer: Answer, frame: frames.ResponseFrame, at_s: float) -> None:
    match frame:
        case frames.StartFrame():
            # A further attempt begins only where nothing of the former was visible.
            answer.phase = "waiting"
        case frames.QueuedFrame():
            answer.phase = "queued"
        case frames.ChunkFrame():
            answer.seen(at_s)
            answer.text += frame.content
        case frames.ReasoningFrame():
            answer.seen(at_s)
            answer.reasoning += frame.content
        case frames.NoteFrame():
            answer.notes.append(frame.message)
        case frames.MediaPendingFrame():
            answer.seen(at_s)
            medium = _medium(answer, frame.media_id, frame.media_type)
            medium.state = frame.phase
            medium.format = frame.format or medium.format
            medium.size_bytes = frame.size_bytes or medium.size_bytes
        case frames.MediaFrame():
            answer.seen(at_s)
            medium = _medium(answer, frame.media_id, frame.media_type)
            medium.state, medium.url, medium.format = "stored", frame.url, frame.format
            medium.content_type, medium.size_bytes = frame.content_type, frame.size_bytes
            medium.width, medium.height, medium.duration_ms = frame.width, frame.height, frame.duration_ms
        case frames.MediaFailedFrame():
            medium = _medium(answer, frame.media_id, frame.media_type)
            medium.state, medium.message = "failed", frame.message
        case frames.SnapshotFrame():
            _restore(answer, frame)
        case frames.DoneFrame():
            answer.ended_at_s = at_s
            answer.message = frame.message
            answer.cost_usd = frame.cost_usd
            if frame.error:
                answer.phase = "failed"
            else:
                answer.phase = "cancelled" if frame.finish_reason == "cancelled" else "finished"
        case _:
            pass


def _medium(answer: Answer, media_id: str, media_type: MediaType) -> Medium:
    return answer.media.setdefault(
        media_id, Medium(media_id=media_id, media_type=media_type, state="generating")
    )


def _restore(answer: Answer, frame: frames.SnapshotFrame) -> None:
    """A snapshot is the whole answer so far and takes the place of what was there."""
    answer.text, answer.reasoning = frame.content, frame.reasoning
    answer.media = {
        shown.media_id: Medium(
            media_id=shown.media_id,
            media_type=shown.media_type,
            state=shown.status,
            url=shown.url,
            format=shown.format,
            content_type=shown.content_type,
            size_bytes=shown.size_bytes,
            message=shown.reason,
        )
        for shown in frame.media
    }
    if not answer.ended:
        answer.phase = "answering" if frame.content or frame.reasoning or frame.media else "waiting"
