"""Builds the events of a conversation as the runner and the media agent would write them, for tests of projections."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from polylogue.projections.testing.answer import Answer
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    AnswerRated,
    ConversationDeleted,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    ConversationStarted,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    ParentRef,
    PromptSubmitted,
    Rendition,
    ResponseSlot,
)

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
