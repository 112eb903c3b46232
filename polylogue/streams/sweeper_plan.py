"""What the sweeper has to do for one partition of the log: which claims to send again, whose objects to remove; pure.

Times are Unix ms: those of records are the broker's, `now_ms` is the caller's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from polylogue.media.keys import medium_of
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import ExpireMedia, MediaClaim, MediumRef, RetryMedia, StoreMedia
from polylogue.schemas.conversation_state import ConversationState, MediaPhase, MediumState
from polylogue.schemas.envelope import Event, Request
from polylogue.schemas.events import (
    ConversationDeleted,
    LogCreated,
    MediaDeleted,
    MediaExpired,
    MediaFailed,
    MediaProduced,
    MediaRejected,
    MediaRenditionsStored,
    MediaRetried,
    MediaStored,
    ReasoningAppended,
    TextAppended,
)
from polylogue.schemas.visibility import admit

MOST_IDLE = 1000  # conversations of a partition that are remembered although there is nothing to do for them
# No round is unfinished for so long: responses and media have deadlines of minutes. One that never ends must not hold
# the place from which a successor reads.
LONGEST_ROUND_MS = 24 * 3600 * 1000
LONGEST_WAIT_MS = 6 * 3600 * 1000  # between two claims for the same medium, while nobody answers

# Phases in which nothing of a medium is shown, so that whatever lies in the bucket has to go.
_NOT_SHOWN: tuple[MediaPhase, ...] = ("rejected", "failed", "deleted", "expired")
# What a medium that was produced before this reader's start is in for certain: nothing follows on these.
_FINAL: tuple[MediaPhase, ...] = ("deleted", "expired")


@dataclass(frozen=True)
class SendAgain:
    """A medium has had no outcome for longer than its deadline: ask the media agent once more."""

    media_id: str
    conversation_id: str
    request: Request


@dataclass(frozen=True)
class RemoveObjects:
    """Nothing of the medium (of the whole conversation, where `media_id` is None) is shown: remove its objects."""

    conversation_id: str
    media_id: str | None
    since_ms: int  # the latest record that concerned it
    key: str | None = None  # of the original, where it is known
    final: bool = False  # nothing can bring it back


Action = SendAgain | RemoveObjects


@dataclass
class _Pending:
    """A medium without an outcome."""

    claim: MediaClaim
    since_ms: int
    next_ms: int
    traceparent: str | None
    sent: int = 0


@dataclass
class _Conversation:
    state: ConversationState = field(default_factory=ConversationState)
    claims: dict[str, MediaClaim] = field(default_factory=dict)
    pending: dict[str, _Pending] = field(default_factory=dict)
    doomed: dict[str | None, RemoveObjects] = field(default_factory=dict)
    hold: int | None = None  # where a successor must begin to know what is open here; None: nothing is

    def unfinished(self, oldest_ms: int) -> bool:
        """Whether a round is open that may still bring media."""
        return not self.state.deleted and any(
            not one.completed and one.started_ms >= oldest_ms
            for turn in self.state.turns.values()
            for one in turn.rounds
        )


class PartitionSweep:
    """Follows one partition from any offset that was once `committable`."""

    def __init__(self, position: int, *, deadline_ms: int, remove_after_ms: int) -> None:
        self.position = position  # the next offset
        self._deadline_ms = deadline_ms
        self._remove_after_ms = remove_after_ms
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._latest_ms = 0

    def take(self, event: Event, offset: int, timestamp_ms: int) -> None:
        """Takes the next event of the partition."""
        self._latest_ms = max(self._latest_ms, timestamp_ms)
        if isinstance(event.data, LogCreated):
            return
        conversation_id = event.conversation_id
        is_new = conversation_id not in self._conversations
        known = self._conversations.setdefault(conversation_id, _Conversation())
        visible = admit(known.state, event, offset).visible
        if isinstance(event.data, TextAppended | ReasoningAppended) and not is_new:
            return  # nine records of ten, and none of them opens or closes anything
        if isinstance(event.data, ConversationDeleted) and known.state.deleted:
            known.pending.clear()
            known.claims.clear()
            known.doomed = {None: RemoveObjects(conversation_id, None, timestamp_ms, final=True)}
        elif (media_id := _medium_of(event.data)) is not None:
            if known.state.deleted:
                # Whatever a straggler has put there meanwhile goes with the rest.
                known.doomed = {None: RemoveObjects(conversation_id, None, timestamp_ms, final=True)}
            else:
                self._note(known, event, media_id, timestamp_ms, visible=visible)
        self._settle(conversation_id, known, offset)

    def due(self, now_ms: int) -> list[Action]:
        """What is to be done now. Only for a caller that has taken every record up to the end as it was at `now_ms`:
        a later record may say that a medium is stored after all."""
        actions: list[Action] = []
        for conversation_id, known in self._conversations.items():
            for media_id, one in known.pending.items():
                if one.next_ms <= now_ms:
                    actions.append(SendAgain(media_id, conversation_id, _again(one)))
            actions += [
                one for one in known.doomed.values() if one.since_ms + self._remove_after_ms <= now_ms
            ]
        return actions

    def stands(self, action: Action) -> bool:
        """Whether what was due still is: records may have come since."""
        known = self._conversations.get(action.conversation_id)
        if known is None:
            return False
        if isinstance(action, SendAgain):
            return action.media_id in known.pending
        return known.doomed.get(action.media_id) == action

    def done(self, action: Action, now_ms: int) -> None:
        """The action was carried out."""
        known = self._conversations.get(action.conversation_id)
        if known is None:
            return
        if isinstance(action, SendAgain):
            one = known.pending.get(action.media_id)
            if one is not None:
                one.sent += 1
                one.next_ms = now_ms + min(self._deadline_ms * 2**one.sent, LONGEST_WAIT_MS)
        elif known.doomed.get(action.media_id) == action:
            del known.doomed[action.media_id]
            self._settle(action.conversation_id, known, self.position)

    @property
    def committable(self) -> int:
        """Where a successor must begin to know all that is open."""
        oldest_ms = self._latest_ms - LONGEST_ROUND_MS
        return min(
            (
                known.hold
                for known in self._conversations.values()
                if known.hold is not None and (known.pending or known.doomed or known.unfinished(oldest_ms))
            ),
            default=self.position,
        )

    @property
    def overdue(self) -> int:
        """Media for which a claim was sent again and that still have no outcome."""
        return sum(one.sent > 0 for known in self._conversations.values() for one in known.pending.values())

    def _note(
        self, known: _Conversation, event: Event, media_id: str, timestamp_ms: int, *, visible: bool
    ) -> None:
        medium = known.state.media.get(media_id)
        if medium is None:
            # Of a round before this reader's start, or of a writer that has lost the partition: nothing is certain.
            return
        data, doomed = event.data, known.doomed.get(media_id)
        if isinstance(data, MediaProduced) and visible:
            known.claims[media_id] = data.claim
        claim = known.claims.get(media_id)
        final = medium.phase in _FINAL or (doomed is not None and doomed.final)
        if medium.phase == "produced" and not final:
            known.doomed.pop(media_id, None)
            # A retry whose medium was produced before this reader's start: its request is kept by the agent's group.
            if visible and claim is not None:
                known.pending[media_id] = self._pending(claim, event, medium, timestamp_ms)
            return
        known.pending.pop(media_id, None)
        if final or (medium.phase in _NOT_SHOWN and not medium.assumed):
            # A hidden outcome too puts it off: its writer may have put an object there a moment ago.
            known.doomed[media_id] = RemoveObjects(
                event.conversation_id, media_id, timestamp_ms, claim.key if claim else None, final
            )
        else:
            known.doomed.pop(media_id, None)

    def _pending(self, claim: MediaClaim, event: Event, medium: MediumState, timestamp_ms: int) -> _Pending:
        return _Pending(
            claim=msgspec.structs.replace(claim, retry=medium.retry),
            since_ms=timestamp_ms,
            next_ms=timestamp_ms + self._deadline_ms,
            traceparent=event.traceparent,
        )

    def _settle(self, conversation_id: str, known: _Conversation, offset: int) -> None:
        """Notes whether something is open; forgets the conversation that has been idle for longest.

        Not at once: a repetition of its records would look like a turn of its own.
        """
        is_open = bool(known.pending or known.doomed or known.unfinished(self._latest_ms - LONGEST_ROUND_MS))
        if is_open:
            if known.hold is None:
                known.hold = known.state.start_offset(offset)
            self._idle.pop(conversation_id, None)
            return
        known.hold = None
        self._idle[conversation_id] = None
        self._idle.move_to_end(conversation_id)
        if len(self._idle) > MOST_IDLE:
            oldest, _ = self._idle.popitem(last=False)
            del self._conversations[oldest]


def expire_request(event: Event, partition: int) -> Request | None:
    """Asks for the end of a medium's life, where the event says that it was stored. Twice is harmless."""
    data = event.data
    if not isinstance(data, MediaStored):
        return None
    name = medium_of(data.key)
    medium = MediumRef(
        media_id=data.media_id,
        media_type=data.media_type,
        conversation_id=event.conversation_id,
        owner_id=event.owner_id,
        answer_partition=partition,
        key=data.key,
        turn_id=event.turn_id,
        response_id=event.response_id,
        model=name.model if name else None,  # the key alone tells it here
        size_bytes=data.size_bytes,
    )
    return Request(request_id=f"{data.media_id}.expire", data=ExpireMedia(medium=medium))


def _medium_of(data: Payload) -> str | None:
    match data:
        case MediaProduced(claim=claim):
            return claim.media_id
        case (
            MediaStored()
            | MediaRejected()
            | MediaFailed()
            | MediaRetried()
            | MediaRenditionsStored()
            | MediaExpired()
            | MediaDeleted()
        ):
            return data.media_id
    return None


def _again(one: _Pending) -> Request:
    claim, request_id = one.claim, f"{one.claim.media_id}.{one.claim.retry}"
    if claim.retry:
        retry = RetryMedia(claim=claim, asked_at_ms=one.since_ms, traceparent=one.traceparent)
        return Request(request_id=request_id, data=retry)
    store = StoreMedia(claim=claim, produced_at_ms=one.since_ms, traceparent=one.traceparent)
    return Request(request_id=request_id, data=store)
