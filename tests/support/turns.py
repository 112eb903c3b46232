"""Random but well-formed histories of a conversation: turns, duplicates, late records, garbage."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from polylogue.schemas import events
from polylogue.schemas.codec import event_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import ResponseSlot
from tests.support.script import AT_MS, Script

CONVERSATION = "c" * 32


@dataclass(frozen=True)
class Written:
    offset: int
    key: bytes | None
    value: bytes | None


def script(number: int = 1, *, models: int = 2, conversation_id: str = CONVERSATION) -> Script:
    turn_id = f"{number:032x}"
    slots = tuple(ResponseSlot(response_id=f"{turn_id}-{n}", model=f"sim/{n}") for n in range(1, models + 1))
    command = Command(
        command_id=f"{turn_id}-start",
        conversation_id=conversation_id,
        turn_id=turn_id,
        owner_id="local",
        issued_at="2026-01-01T00:00:00.000Z",
        first_sent_at_ms=AT_MS,
        data=StartTurn(prompt=f"prompt {number}", responses=slots, new_conversation=number == 1, title="t"),
    )
    return Script(command, command_offset=number)


@st.composite
def turn(draw: st.DrawFn, number: int, *, finished: bool = True) -> list[Event]:
    made = script(number, models=draw(st.integers(1, 3)))
    written = list(made.opening())
    late: list[Event] = []
    for count, slot in enumerate(made.start.responses):
        texts = [f"{number}.{piece} " for piece in range(draw(st.integers(0, 4)))]
        written.extend(made.said(slot.response_id, events.TextAppended(text=text)) for text in texts)
        if draw(st.booleans()):
            media_id = f"m{number}-{count}"
            written.append(made.produced(slot.response_id, media_id))
            late.append(made.stored(slot.response_id, media_id))
        if not finished and count == 0:
            continue
        failed = events.ResponseFailed(failure_class="upstream", message="It broke.", retryable=True)
        end = draw(st.sampled_from([events.ResponseCompleted(finish_reason="stop"), failed]))
        written.append(made.said(slot.response_id, end))
    return written + late


@st.composite
def logs(draw: st.DrawFn) -> list[Written]:
    """A partition with one conversation of interest: its turns, repeated records, other keys and garbage between."""
    turns = draw(st.integers(1, 3))
    mine: list[bytes] = []
    for number in range(1, turns + 1):
        finished = number < turns or draw(st.booleans())
        mine += [event_codec.encode(event) for event in draw(turn(number, finished=finished))]
    records = [Written(0, b"", b"named")]
    sent: list[bytes] = []
    for value in mine:
        match draw(st.integers(0, 9)):
            case 0:
                records.append(Written(len(records), b"someone else", value))
            case 1:
                records.append(Written(len(records), CONVERSATION.encode(), b"garbage"))
            case 2 if sent:
                again = draw(st.sampled_from(sent[-8:]))
                records.append(Written(len(records), CONVERSATION.encode(), again))
            case 3:
                records.append(Written(len(records), None, None))
        records.append(Written(len(records), CONVERSATION.encode(), value))
        sent.append(value)
    return records
