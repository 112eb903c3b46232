"""What the visibility reducer remembers of one conversation: a plain value that can be stored as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from polylogue.schemas.base import MediaType

ResponseStatus = Literal["waiting", "running", "completed", "failed", "cancelled"]
MediaPhase = Literal[
    "generating", "produced", "refused", "stored", "rejected", "failed", "expired", "deleted"
]


class ResponseState(msgspec.Struct, kw_only=True, omit_defaults=True):
    turn_id: str
    model: str
    round: int
    attempt: int = 0
    sequence: int = 0
    status: ResponseStatus = "waiting"

    @property
    def ended(self) -> bool:
        return self.status not in ("waiting", "running")


class MediumState(msgspec.Struct, kw_only=True, omit_defaults=True):
    media_type: MediaType
    phase: MediaPhase
    turn_id: str | None = None
    response_id: str | None = None
    retry: int = 0
    waiting_since_ms: int | None = None  # while it waits for an outcome: when it was produced or tried again
    settled: bool = (
        True  # false from MediaProduced until its first outcome; a later retry does not unsettle it
    )
    validated: bool = False  # by the try that is under way: readers were told so
    has_renditions: bool = False
    assumed: bool = False  # produced before this reader's start: its phase is guessed from what came since
    retried_from: int | None = None  # while a retry is under way: where a reader must begin to know of it


class RoundState(msgspec.Struct, kw_only=True, omit_defaults=True):
    round: int
    start_offset: int  # of the first event of the command that opened the round
    started_ms: int
    input_length: int
    completed: bool = False


class TurnState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A turn as far as this reader has seen it: one that began at a later round does not hold the earlier ones."""

    rounds: list[RoundState]  # never empty, rising

    @property
    def round(self) -> int:
        return self.rounds[-1].round

    @property
    def finished(self) -> bool:
        return all(one.completed for one in self.rounds)

    @property
    def start_offset(self) -> int:
        """The start of the oldest unfinished round, else of the last one."""
        return next((one for one in self.rounds if not one.completed), self.rounds[-1]).start_offset


class ConversationState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All that the verdict on the next event of one conversation depends on."""

    responses: dict[str, ResponseState] = msgspec.field(default_factory=dict)
    media: dict[str, MediumState] = msgspec.field(default_factory=dict)
    turns: dict[str, TurnState] = msgspec.field(default_factory=dict)  # in order of their start
    command_offsets: dict[str, int] = msgspec.field(
        default_factory=dict
    )  # event type → last command's offset
    first_command_offset: int | None = None
    opening: tuple[int, int] | None = None  # the last command seen: (its offset, offset of its first event)
    deleted: bool = False

    def start_offset(self, otherwise: int) -> int:
        """Where a reader must begin to hold this state again: the start of the oldest unfinished round or of the one
        during which the oldest unfinished retry of a medium began, else of the last round, else `otherwise`.

        It never goes back.
        """
        unfinished = [turn.start_offset for turn in self.turns.values() if not turn.finished]
        unfinished += [one.retried_from for one in self.media.values() if one.retried_from is not None]
        if unfinished:
            return min(unfinished)
        return max((turn.start_offset for turn in self.turns.values()), default=otherwise)

    def running_turn(self) -> str | None:
        """The id of the turn that has not finished, if there is one."""
        return next((turn_id for turn_id, turn in self.turns.items() if not turn.finished), None)
