"""One response of a story; every call writes one event of it, as the runner would."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.claims import MediaClaim, SegmentRange
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    CancelReason,
    FailureClass,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    ReasoningAppended,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseNoted,
    ResponseQueued,
    ResponseStarted,
    TextAppended,
    Usage,
)

if TYPE_CHECKING:
    from polylogue.projections.testing.story import Story

FORMATS: dict[MediaType, tuple[str, str]] = {
    "image": ("png", "image/png"),
    "audio": ("mp3", "audio/mpeg"),
    "video": ("mp4", "video/mp4"),
}


class Answer:
    """One response; every call writes one event under the present attempt."""

    def __init__(self, story: Story, turn_id: str, response_id: str, model: str) -> None:
        self.story = story
        self.turn_id = turn_id
        self.response_id = response_id
        self.model = model
        self.attempt = 1
        self.sequence = 0
        self.media = 0

    def write(self, data: Payload) -> Event:
        self.sequence += 1
        return self.story.write(
            f"{self.response_id}.{self.attempt}.{self.sequence}",
            data,
            turn_id=self.turn_id,
            response_id=self.response_id,
            attempt=self.attempt,
            sequence=self.sequence,
        )

    def queue(self, position: int = 1) -> Answer:
        self.write(ResponseQueued(position=position))
        return self

    def begin(self) -> Answer:
        self.write(ResponseStarted(model=self.model))
        return self

    def taken_over(self) -> Answer:
        """The next attempt, by another runner."""
        self.attempt, self.sequence = self.attempt + 1, 0
        return self.begin()

    def text(self, *pieces: str) -> Answer:
        for piece in pieces:
            self.write(TextAppended(text=piece))
        return self

    def reason(self, *pieces: str) -> Answer:
        for piece in pieces:
            self.write(ReasoningAppended(text=piece))
        return self

    def note(
        self, code: str = "attachment_left_out", message: str = "This model takes no pictures."
    ) -> Answer:
        self.write(ResponseNoted(code=code, message=message))
        return self

    def _next_media_id(self) -> str:
        self.media += 1
        return f"{self.response_id}m{self.media}"

    def job(self, media_type: MediaType = "video") -> str:
        media_id = self._next_media_id()
        self.write(
            MediaJobStarted(
                media_id=media_id,
                media_type=media_type,
                job_id=f"job-{media_id}",
                polling_url=f"https://gateway.example/jobs/{media_id}",
            )
        )
        return media_id

    def refuse(self, media_type: MediaType = "image") -> str:
        media_id = self._next_media_id()
        self.write(
            MediaRefused(
                media_id=media_id, media_type=media_type, reason="bad_base64", message="It is not base64."
            )
        )
        return media_id

    def produce(self, media_type: MediaType = "image", *, media_id: str | None = None) -> str:
        media_id = media_id or self._next_media_id()
        extension, content_type = FORMATS[media_type]
        conversation_id = self.story.conversation_id
        claim = MediaClaim(
            media_id=media_id,
            media_type=media_type,
            conversation_id=conversation_id,
            turn_id=self.turn_id,
            response_id=self.response_id,
            owner_id=self.story.owner_id,
            model=self.model,
            key=f"media/{media_type}/{conversation_id}/{self.model.replace('/', '%2F')}/20260301_{media_id}.{extension}",
            format=extension,
            content_type=content_type,
            answer_partition=self.story.partition,
            segments=SegmentRange(
                partition=0,
                first_offset=0,
                last_offset=0,
                count=1,
                size_bytes=1000 + self.media,
                sha256=hashlib.sha256(media_id.encode()).hexdigest(),
            ),
        )
        self.story.claims[media_id] = claim
        self.write(MediaProduced(claim=claim))
        return media_id

    def complete(self, finish_reason: str = "stop") -> Answer:
        self.write(
            ResponseCompleted(
                finish_reason=finish_reason,
                usage=Usage(prompt_tokens=7, completion_tokens=11, total_tokens=18),
                cost_usd_micros=1234,
                time_to_first_token_ms=120,
                duration_ms=900,
            )
        )
        return self

    def fail(self, failure_class: FailureClass = "upstream", *, retryable: bool = True) -> Answer:
        self.write(
            ResponseFailed(
                failure_class=failure_class,
                message="The provider failed.",
                retryable=retryable,
                duration_ms=300,
            )
        )
        return self

    def cancel(self, reason: CancelReason = "user") -> Answer:
        self.write(ResponseCancelled(reason=reason))
        return self
