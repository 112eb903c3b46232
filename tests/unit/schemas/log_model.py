"""A model of plausible writers: random logs of one conversation, with takeovers, retries, repeats and deletions."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from polylogue.schemas.base import Payload
from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    ConversationDeleted,
    ConversationRenamed,
    ConversationStarted,
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
    MediaValidated,
    PromptSubmitted,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseQueued,
    ResponseSlot,
    ResponseStarted,
    TextAppended,
)
from tests.support.claims import claim_of

STARTED_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Record:
    """An event in its place. `repeats` is the place of the first copy, None for a first copy."""

    offset: int
    event: Event
    repeats: int | None = None

    def __repr__(self) -> str:
        of = self.event.response_id or self.event.turn_id or "-"
        again = "" if self.repeats is None else f" again {self.repeats}"
        return f"<{self.offset} {type(self.event.data).__name__} {of}{again}>"


@dataclass
class Medium:
    media_id: str
    turn_id: str
    response_id: str
    phase: str = "generating"
    retry: int = 0
    renditions: bool = False


@dataclass
class Response:
    response_id: str
    turn_id: str
    round: int
    attempt: int = 0
    sequence: int = 0
    shown: bool = False
    ended: bool = False
    media: list[Medium] = field(default_factory=list)


@dataclass(repr=False)
class Writer:
    """Draws one plausible log; the fields are what runner, agent and API know, kept apart from the reducer's state."""

    random: Random
    repeats: bool = True
    log: list[Record] = field(default_factory=list)
    command: int = 0
    turns: dict[str, int] = field(default_factory=dict)  # turn → its rounds
    responses: list[Response] = field(default_factory=list)
    media: list[Medium] = field(default_factory=list)
    clock: int = 0
    deleted: bool = False

    def write(self, data: Payload, **envelope: Any) -> None:
        self.clock += 1
        event = Event(
            event_id=f"e{self.clock}",
            conversation_id="c",
            owner_id="o",
            occurred_at=rfc3339(STARTED_MS + self.clock),
            data=data,
            **envelope,
        )
        self.append(event)

    def append(self, event: Event, repeats: int | None = None) -> None:
        # Records of other conversations lie between.
        offset = self.log[-1].offset + self.random.randint(1, 3) if self.log else 5
        self.log.append(Record(offset, event, repeats))

    def coin(self) -> bool:
        return self.random.random() < 0.5

    def run(self, steps: int) -> list[Record]:
        self.open_turn(first=True)
        for _ in range(steps):
            self.step()
        return self.log

    def step(self) -> None:
        running = [one for one in self.responses if not one.ended]
        choices = ["agent"] * 4
        choices += ["answer"] * 8 if running else ["turn", "turn", "round", "round"]
        choices += ["rename", "takeover", "conflict"]
        if self.repeats:
            choices += ["repeat"] * 2
        if self.random.randint(0, 25) == 0:
            choices = ["delete"]
        match self.random.choice(choices):
            case "answer":
                self.answer(self.random.choice(running))
            case "agent":
                self.agent()
            case "turn" | "conflict" if not self.deleted:
                self.open_turn(conflict=bool(running))
            case "round" if not self.deleted:
                self.open_round(self.random.choice(sorted(self.turns)))
            case "rename":
                self.command += self.random.randint(1, 3)
                self.write(ConversationRenamed(title=f"t{self.clock}"), command_offset=self.command)
            case "takeover":
                self.take_over(running)
            case "delete":
                self.delete(running)
            case "repeat":
                self.repeat(self.random.randint(0, len(self.log) - 1))

    def open_turn(self, *, first: bool = False, conflict: bool = False) -> None:
        turn_id = f"t{len(self.turns)}"
        self.turns[turn_id] = 0
        self.open_round(turn_id, first=first, conflict=conflict)

    def open_round(self, turn_id: str, *, first: bool = False, conflict: bool = False) -> None:
        self.command += self.random.randint(1, 3)
        self.turns[turn_id] += 1
        number = self.turns[turn_id]
        asked = [
            Response(f"{turn_id}-{len(self.responses) + n}", turn_id, number)
            for n in range(self.random.randint(1, 3))
        ]
        self.responses += asked
        if first:
            self.write(ConversationStarted(title="t"), command_offset=self.command, turn_id=turn_id)
        self.write(
            PromptSubmitted(
                prompt="p" * number,
                round=number,
                responses=tuple(ResponseSlot(response_id=one.response_id, model="m") for one in asked),
            ),
            command_offset=self.command,
            turn_id=turn_id,
        )
        if conflict:
            for one in asked:
                one.attempt = 1
                self.say(one, ResponseFailed(failure_class="conflict", message="no", retryable=False))
                one.ended = True

    def say(self, response: Response, data: Payload) -> None:
        response.sequence += 1
        self.write(
            data,
            turn_id=response.turn_id,
            response_id=response.response_id,
            attempt=response.attempt,
            sequence=response.sequence,
        )

    def answer(self, one: Response) -> None:
        if one.attempt == 0:
            one.attempt = 1
            if self.coin():
                self.say(one, ResponseQueued(position=1))
            self.say(one, ResponseStarted(model="m"))
            return
        kinds = ["text", "text", "produce", "refuse", "job", "end", "end"]
        match self.random.choice(kinds):
            case "text":
                one.shown = True
                self.say(one, TextAppended(text=f"x{self.clock}"))
            case "produce":
                one.shown = True
                job = next((m for m in one.media if m.phase == "generating"), None)
                medium = job or self.new_medium(one)
                medium.phase = "produced"
                self.say(one, MediaProduced(claim=claim(medium)))
            case "refuse":
                medium = self.new_medium(one)
                medium.phase = "refused"
                self.say(
                    one,
                    MediaRefused(
                        media_id=medium.media_id, media_type="image", reason="disabled", message="m"
                    ),
                )
            case "job":
                medium = self.new_medium(one)
                self.say(
                    one,
                    MediaJobStarted(
                        media_id=medium.media_id, media_type="video", job_id="j", polling_url="u"
                    ),
                )
            case _:
                self.end(one)

    def end(self, one: Response, end: Payload | None = None) -> None:
        ends = (
            ResponseCompleted(finish_reason="stop"),
            ResponseFailed(failure_class="upstream", message="m", retryable=True),
            ResponseCancelled(),
        )
        self.say(one, end or self.random.choice(ends))
        one.ended = True

    def new_medium(self, one: Response) -> Medium:
        medium = Medium(f"m{len(self.media)}", one.turn_id, one.response_id)
        self.media.append(medium)
        one.media.append(medium)
        return medium

    def agent(self) -> None:
        """One unit of work of the media agent or the sweeper; two agents may both have an outcome."""
        if not self.media:
            return
        medium = self.random.choice(self.media)
        named: dict[str, Any] = {"media_id": medium.media_id, "media_type": "image"}
        outcome = self.random.choice([stored, rejected, failed])
        match medium.phase:
            case "produced" if self.deleted:
                medium.phase = "deleted"
                self.report(medium, MediaDeleted(**named))
            case "produced" if self.coin():
                self.report(medium, validated(named, medium.retry))
            case "produced":
                medium.phase = outcome.__name__
                self.report(medium, outcome(named, medium.retry))
            case "failed" if self.coin():
                medium.retry += 1
                medium.phase = "produced"
                self.report(medium, MediaRetried(**named, retry=medium.retry))
            case "stored" | "rejected" | "failed" if self.coin():
                # A second agent that was late: its outcome contradicts the first.
                late = self.random.choice([validated, outcome])
                self.report(medium, late(named, medium.retry))
            case "stored" if not medium.renditions and self.coin():
                medium.renditions = True
                self.report(medium, MediaRenditionsStored(**named, renditions=()))
            case "stored" if self.coin():
                medium.phase = "expired"
                self.report(medium, MediaExpired(**named))
            case "stored" | "expired" | "rejected" | "failed" if self.coin():
                medium.phase = "deleted"
                self.report(medium, MediaDeleted(**named))

    def report(self, medium: Medium, data: Payload) -> None:
        self.write(data, turn_id=medium.turn_id, response_id=medium.response_id)

    def take_over(self, running: list[Response]) -> None:
        """A new runner: repeats the events of commands from the committed offset on, then goes on or gives up."""
        if self.repeats:
            committed = self.random.randint(0, self.command)
            for record in list(self.log):
                if record.repeats is None and (record.event.command_offset or -1) >= committed:
                    self.append(record.event, record.offset)
        for one in running:
            if one.shown:
                self.end(one, ResponseFailed(failure_class="interrupted", message="m", retryable=True))
            elif one.attempt:
                one.attempt, one.sequence = one.attempt + 1, 0
                self.say(one, ResponseStarted(model="m"))

    def delete(self, running: list[Response]) -> None:
        if self.deleted:
            return
        for one in running:
            one.attempt = one.attempt or 1
            self.end(one, ResponseCancelled(reason="conversation_deleted"))
        self.deleted = True
        self.command += 1
        self.write(ConversationDeleted(), command_offset=self.command)

    def repeat(self, place: int) -> None:
        """The same records once more, as a resend or a redelivery writes them."""
        for record in self.log[place : place + self.random.randint(1, 4)]:
            first = record.offset if record.repeats is None else record.repeats
            self.append(record.event, first)


def claim(medium: Medium) -> MediaClaim:
    return claim_of(
        medium.media_id, conversation_id="c", turn_id=medium.turn_id, response_id=medium.response_id
    )


def validated(named: dict[str, Any], retry: int) -> Payload:
    return MediaValidated(**named, format="png", content_type="image/png", size_bytes=1, retry=retry)


def stored(named: dict[str, Any], retry: int) -> Payload:
    return MediaStored(
        **named,
        key="k",
        url="u",
        format="png",
        content_type="image/png",
        size_bytes=1,
        sha256="s",
        retry=retry,
    )


def rejected(named: dict[str, Any], retry: int) -> Payload:
    return MediaRejected(**named, reason="empty", message="m", retry=retry)


def failed(named: dict[str, Any], retry: int) -> Payload:
    return MediaFailed(**named, reason="internal", message="m", retry=retry)


def logs(*, repeats: bool = True) -> st.SearchStrategy[list[Record]]:
    """Logs of one conversation in order of offset."""
    return writers(repeats=repeats).map(lambda writer: writer.log)


def writers(*, repeats: bool = True) -> st.SearchStrategy[Writer]:
    """Writers that have written. A seed is drawn, not each choice: a hundred times faster, and the length shrinks."""

    def written(seed: int, steps: int) -> Writer:
        writer = Writer(Random(seed), repeats=repeats)
        writer.run(steps)
        return writer

    return st.builds(written, st.integers(0, 2**32), st.integers(0, 80))


def without_repeats(log: list[Record]) -> list[Record]:
    return [record for record in log if record.repeats is None]
