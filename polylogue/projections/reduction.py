"""Records of one partition → visible events, by the one reducer; pure but for the states it is given."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from polylogue.projections.circumstances import TELLING, told
from polylogue.projections.decoding import decode
from polylogue.projections.protocol import TurnProgress, VisibleEvent
from polylogue.schemas.codec import Garbage, NewerVersion, UnknownType
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated, PromptSubmitted
from polylogue.schemas.visibility import Verdict, admit


class Record(Protocol):
    """What is needed of a consumer's record."""

    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True)
class Refusal:
    """The record that a projector cannot apply, and why; the reason names no content."""

    offset: int
    reason: str


@dataclass(frozen=True)
class Readable:
    """The records up to the first that cannot be read."""

    events: Sequence[tuple[int, Event]]
    refusal: Refusal | None


def read(records: Iterable[Record]) -> Readable:
    """Skipping what is unknown would make live tables differ from a replay by a newer version, so reading stops."""
    events: list[tuple[int, Event]] = []
    for record in records:
        match decode(record.value):
            case Event() as event:
                events.append((record.offset, event))
            case Garbage(reason=reason):
                return Readable(events, Refusal(record.offset, f"garbage: {reason}"))
            case UnknownType(type=name):
                return Readable(events, Refusal(record.offset, f"unknown type {name[:100]!r}"))
            case NewerVersion(type=name, version=version):
                return Readable(events, Refusal(record.offset, f"{name} has the newer version {version}"))
    return Readable(events, None)


def conversations_of(events: Iterable[tuple[int, Event]]) -> list[str]:
    """The conversations whose states `reduce` needs, sorted."""
    return sorted({event.conversation_id for _, event in events if not isinstance(event.data, LogCreated)})


def reduce(
    states: MutableMapping[str, ConversationState], events: Iterable[tuple[int, Event]], partition: int
) -> list[VisibleEvent]:
    """Brings `states` up to date and returns what is visible, in order."""
    visible: list[VisibleEvent] = []
    running: dict[str, bool] = {}
    for offset, event in events:
        if isinstance(event.data, LogCreated):
            continue
        conversation_id = event.conversation_id
        state = states.get(conversation_id)
        if state is None:
            state = states[conversation_id] = ConversationState()
        verdict = admit(state, event, offset)
        if not verdict.visible:
            continue
        progress = _progress(state, event, verdict)
        if progress is not None or conversation_id not in running:
            running[conversation_id] = state.running_turn() is not None
        response = state.responses.get(event.response_id or "")
        visible.append(
            VisibleEvent(
                event=event,
                partition=partition,
                offset=offset,
                turn_running=running[conversation_id],
                turn=progress,
                model=response.model if response else None,
                **told(state, event),
            )
            if type(event.data) in TELLING
            else VisibleEvent(
                event,
                partition,
                offset,
                running[conversation_id],
                progress,
                response.model if response else None,
            )
        )
    return visible


def _progress(state: ConversationState, event: Event, verdict: Verdict) -> TurnProgress | None:
    if verdict.completed is not None:
        turn_id = verdict.completed.turn_id
    elif isinstance(event.data, PromptSubmitted) and event.turn_id is not None:
        turn_id = event.turn_id
    else:
        return None
    turn = state.turns[turn_id]
    return TurnProgress(turn_id, turn.round, turn.start_offset, turn.finished)
