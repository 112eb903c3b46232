"""Builds the events of a conversation as the runner and the media agent would write them, for tests of projections."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.claims import MediaClaim, SegmentRange
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    AnswerRated,
    CancelReason,
    ConversationDeleted,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    ConversationStarted,
    FailureClass,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    ParentRef,
    PromptSubmitted,
    ReasoningAppended,
    Rendition,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseNoted,
    ResponseQueued,
    ResponseSlot,
    ResponseStarted,
    TextAppended,
    Usage,
)

FORMATS: dict[MediaType, tuple[str, str]] = {
    "image": ("png", "image/png"),
    "audio": ("mp3", "audio/mpeg"),
    "video": ("mp4", "video/mp4"),
}
EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Story:
    """One conversation; `events` holds what was written so far, in order. Its clock moves 10 ms an event."""

    def __init__(
        self, conversation_id: str | None = None, owner_id: str = "local", partition: int = 0
    ) -> None:
        self.conversation_id = conversation_id or uuid4().hex
        self.owner_id = owner_id
        self.partition = partition
        self.events: list[Event] = []
        self.claims: dict[str, MediaClaim] = {}
        self.commands = 0

    def now(self) -> str:
        at = EPOCH + timedelta(milliseconds=10 * len(self.events))
        return rfc3339(int(at.timestamp() * 1000))

    def write(self, event_id: str, data: Payload, **fields: object) -> Event:
        event = Event(
            event_id=event_id,
            conversation_id=self.conversation_id,
            owner_id=self.owner_id,
            occurred_at=self.now(),
            data=data,
            **fields,  # type: ignore[arg-type]
        )
        self.events.append(event)
        return event

    def command(self) -> int:
        """Opens a command; its events carry the returned offset."""
        self.commands += 1
        return self.commands

    def from_command(self, data: Payload, *, command: int | None = None, turn_id: str | None = None) -> Event:
        offset = self.command() if command is None else command
        event_id = f"{self.conversation_id}-{offset}.{type(data).__name__}"
        return self.write(event_id, data, command_offset=offset, turn_id=turn_id)

    def ask(
        self,
        prompt: str,
        *models: str,
        start: str | None = None,
        parent: ParentRef | None = None,
        system: str | None = None,
        turn_id: str | None = None,
        round: int = 1,  # noqa: A002
        before: int = 0,
    ) -> list[Answer]:
        """PromptSubmitted, after ConversationStarted where `start` gives a title; `before` counts earlier answers."""
        command = self.command()
        if start is not None:
            self.from_command(ConversationStarted(title=start, parent=parent), command=command)
        turn_id = turn_id or f"{self.conversation_id}t{command}"
        answers = [
            Answer(self, turn_id, f"{turn_id}-{number}", model)
            for number, model in enumerate(models, start=before + 1)
        ]
        slots = tuple(ResponseSlot(response_id=answer.response_id, model=answer.model) for answer in answers)
        data = PromptSubmitted(prompt=prompt, responses=slots, round=round, system=system)
        self.from_command(data, command=command, turn_id=turn_id)
        return answers

    def rename(self, title: str) -> None:
        self.from_command(ConversationRenamed(title=title))

    def pin(self, pinned: bool = True) -> None:
        self.from_command(ConversationPinned(pinned=pinned))

    def share(self, share_id: str | None) -> None:
        self.from_command(ConversationShared(share_id=share_id))

    def delete(self) -> None:
        self.from_command(ConversationDeleted())

    def rate(self, turn_id: str, best: Answer | None = None, **thumbs: Literal["up", "down"]) -> None:
        """Thumbs by the last part of the response's id: `n1="up"` is the turn's first answer's."""
        data = AnswerRated(
            best_response_id=best.response_id if best else None,
            thumbs={f"{turn_id}-{name[1:]}": thumb for name, thumb in thumbs.items()},
        )
        self.from_command(data, turn_id=turn_id)

    def _outcome(self, claim: MediaClaim, data: Payload, retry: int) -> None:
        self.write(
            f"{claim.media_id}.{type(data).__name__}.{retry}",
            data,
            turn_id=claim.turn_id,
            response_id=claim.response_id,
        )

    def stored(self, media_id: str, retry: int = 0) -> None:
        claim = self.claims[media_id]
        assert claim.segments is not None
        data = MediaStored(
            media_id=media_id,
            media_type=claim.media_type,
            key=claim.key,
            url=f"https://media.example/{claim.key}",
            format=claim.format,
            content_type=claim.content_type,
            size_bytes=claim.segments.size_bytes,
            sha256=claim.segments.sha256,
            width=64 if claim.media_type != "audio" else None,
            height=48 if claim.media_type != "audio" else None,
            duration_ms=1500 if claim.media_type != "image" else None,
            retry=retry,
        )
        self._outcome(claim, data, retry)

    def rejected(self, media_id: str, retry: int = 0) -> None:
        claim = self.claims[media_id]
        data = MediaRejected(
            media_id=media_id,
            media_type=claim.media_type,
            reason="undecodable",
            message="The picture cannot be read.",
            retry=retry,
        )
        self._outcome(claim, data, retry)

    def failed(self, media_id: str, retry: int = 0) -> None:
        claim = self.claims[media_id]
        data = MediaFailed(
            media_id=media_id,
            media_type=claim.media_type,
            reason="storage_unavailable",
            message="The storage does not answer.",
            retry=retry,
        )
        self._outcome(claim, data, retry)

    def retried(self, media_id: str, retry: int) -> None:
        self._outcome(
            self.claims[media_id],
            MediaRetried(media_id=media_id, media_type=self.claims[media_id].media_type, retry=retry),
            retry,
        )

    def renditions(self, media_id: str) -> None:
        claim = self.claims[media_id]
        thumbnail = Rendition(
            name="thumbnail", key=f"{claim.key}.thumb.webp", content_type="image/webp", size_bytes=99
        )
        data = MediaRenditionsStored(media_id=media_id, media_type=claim.media_type, renditions=(thumbnail,))
        self._outcome(claim, data, 0)

    def expired(self, media_id: str) -> None:
        claim = self.claims[media_id]
        self._outcome(claim, MediaExpired(media_id=media_id, media_type=claim.media_type), 0)

    def deleted(self, media_id: str) -> None:
        claim = self.claims[media_id]
        self._outcome(claim, MediaDeleted(media_id=media_id, media_type=claim.media_type), 0)


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
