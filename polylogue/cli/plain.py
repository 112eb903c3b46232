"""Views for programs and pipes: every frame as JSON, or plain lines that begin with the model's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from polylogue.cli import wording
from polylogue.client.answers import Answer, Comparison
from polylogue.client.session import Received
from polylogue.schemas import frames

Write = Callable[[str], None]

LOST = "Some of the answers is missing here: the log no longer has it."


class View(Protocol):
    """Shows a turn while it arrives."""

    def show(self, received: Received, changed: Answer | None, comparison: Comparison) -> None:
        """Called for each frame, after `comparison` has taken it."""

    def say(self, line: str) -> None:
        """Something about the command itself."""

    def finish(self, comparison: Comparison) -> None:
        """Called once, however the turn ended."""


def write_line(line: str) -> None:
    print(line, flush=True)


def write_aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class JsonView:
    """Each frame's JSON on a line of its own, byte for byte as it came."""

    def __init__(self, write: Write = write_line, aside: Write = write_aside) -> None:
        self._write = write
        self._aside = aside

    def show(self, received: Received, changed: Answer | None, comparison: Comparison) -> None:
        del changed, comparison
        self._write(received.raw.decode())

    def say(self, line: str) -> None:
        self._aside(line)

    def finish(self, comparison: Comparison) -> None:
        pass


class PlainView:
    """A line is written when it is whole: lines of several models may alternate, words do not."""

    def __init__(self, *, measured: bool, write: Write = write_line, aside: Write = write_aside) -> None:
        self._measured = measured
        self._write = write
        self._aside = aside
        self._begun: dict[tuple[str, str], str] = {}  # the unfinished line by response and kind

    def show(self, received: Received, changed: Answer | None, comparison: Comparison) -> None:
        del comparison  # `changed` is all that is shown
        frame = received.frame
        match frame:
            case frames.TurnFrame():
                self._write(f"> {wording.clean(frame.prompt)}")
            case frames.GapFrame() if frame.reason == "retention":
                self._aside(LOST)
            case frames.ReasoningFrame():
                self._take(frame, "thinks", frame.content)
            case frames.ChunkFrame():
                self._flush(frame, "thinks")
                self._take(frame, "", frame.content)
            case frames.NoteFrame():
                self._line(frame.model, f"note: {wording.clean(frame.message)}")
            case frames.MediaPendingFrame():
                # This is where the medium stands in the answer; that it is stored is heard some time later.
                self._flush(frame, "")
            case frames.MediaFrame() | frames.MediaFailedFrame() if changed is not None:
                self._line(frame.model, wording.medium(changed.media[frame.media_id], link=True))
            case frames.DoneFrame() if changed is not None:
                self._flush(frame, "thinks")
                self._flush(frame, "")
                if changed.phase != "finished":
                    self._line(frame.model, wording.status(changed))
            case _:
                pass

    def say(self, line: str) -> None:
        self._aside(line)

    def finish(self, comparison: Comparison) -> None:
        for (response_id, kind), text in list(self._begun.items()):
            answer = comparison.answers.get(response_id)
            if text and answer is not None:
                self._line(_who(answer.model, kind), wording.clean(text))
        self._begun.clear()
        table = [wording.HEADINGS, *wording.rows(comparison, measured=self._measured)]
        if len(table) == 1:
            return
        widths = [max(len(row[column]) for row in table) for column in range(len(wording.HEADINGS))]
        self._write("")
        for row in table:
            self._write(
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )

    def _take(self, frame: frames.ResponseFrame, kind: str, text: str) -> None:
        *lines, rest = (self._begun.get((frame.response_id, kind), "") + text).split("\n")
        for line in lines:
            self._line(_who(frame.model, kind), wording.clean(line))
        self._begun[frame.response_id, kind] = rest

    def _flush(self, frame: frames.ResponseFrame, kind: str) -> None:
        if rest := self._begun.pop((frame.response_id, kind), ""):
            self._line(_who(frame.model, kind), wording.clean(rest))

    def _line(self, who: str, text: str) -> None:
        self._write(f"{wording.clean(who)} | {text}".rstrip())


def _who(model: str, kind: str) -> str:
    return f"{model} ({kind})" if kind else model
