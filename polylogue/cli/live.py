"""The view for a terminal: answers side by side as they arrive, then in full, then media and a summary."""

from __future__ import annotations

import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from polylogue.cli import wording
from polylogue.cli.plain import LOST
from polylogue.client.answers import Answer, Comparison
from polylogue.client.session import Received
from polylogue.schemas import frames

NARROWEST = 26  # columns of one answer, its frame included
FRAME_COLUMNS = 4
FRAME_ROWS = 2
REFRESH_S = 0.08  # a terminal that is written to more often only flickers
STYLES = {"finished": "green", "failed": "red", "cancelled": "yellow"}


class LiveView:
    """Redraws at most every REFRESH_S; call `tick` now and then, so that the last change is drawn too."""

    def __init__(self, console: Console, *, measured: bool) -> None:
        self._console = console
        self._measured = measured
        # Drawn by us and not by rich's thread: the state changes between two awaits only.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._drawn_at = 0.0
        self._stale = False
        self._said = ""
        self._comparison: Comparison | None = None

    def show(self, received: Received, changed: Answer | None, comparison: Comparison) -> None:
        del changed
        if self._comparison is None:
            self._comparison = comparison
            self._live.start()
        self._stale = True
        if isinstance(received.frame, frames.GapFrame) and received.frame.reason == "retention":
            self.say(LOST)
        self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        if self._comparison is None or not self._stale or now - self._drawn_at < REFRESH_S:
            return
        rows = max(self._console.height - 2 - bool(self._said), FRAME_ROWS + 1)
        drawing = Table.grid()
        drawing.add_row(side_by_side(self._comparison, self._console.width, rows))
        if self._said:
            drawing.add_row(Text(self._said, style="yellow"))
        self._live.update(drawing, refresh=True)
        self._drawn_at, self._stale = now, False

    def say(self, line: str) -> None:
        if self._comparison is None:
            self._console.print(Text(line, style="yellow"), soft_wrap=True)
            return
        self._said, self._stale = line, True
        self.tick()

    def finish(self, comparison: Comparison) -> None:
        self._live.stop()
        self._comparison = None  # what is said from now on is not drawn over
        if not comparison.answers:
            return
        self._console.print(side_by_side(comparison, self._console.width, None))
        for answer, medium in comparison.media:
            # A link is of no use when it is broken into lines.
            self._console.print(
                Text.assemble((wording.clean(answer.model), "bold"), "  ", wording.medium(medium, link=True)),
                soft_wrap=True,
            )
        self._console.print(summary(comparison, measured=self._measured))


def side_by_side(comparison: Comparison, width: int, height: int | None) -> RenderableType:
    """The answers in as many columns as fit; with a height, only the end of each that fits into it."""
    answers = list(comparison.answers.values())
    columns = max(1, min(len(answers), width // NARROWEST))
    lines = -(-len(answers) // columns)
    rows = None if height is None else max(height // max(lines, 1), FRAME_ROWS + 1)
    grid = Table.grid(expand=True)
    for _ in range(columns):
        grid.add_column(ratio=1)
    for first in range(0, len(answers), columns):
        shown = [_panel(answer, width // columns, rows) for answer in answers[first : first + columns]]
        grid.add_row(*shown, *[""] * (columns - len(shown)))
    return grid


def _panel(answer: Answer, width: int, rows: int | None) -> Panel:
    body = _body(answer)
    if rows is not None:
        inner, visible = max(width - FRAME_COLUMNS, 1), rows - FRAME_ROWS
        # Only the end is wrapped: a long answer must not cost more with every word.
        end = Text("…") + body[-inner * visible * 2 :] if len(body) > inner * visible * 2 else body
        wrapped = end.wrap(Console(width=inner), inner)
        body = Text("\n").join(wrapped[-visible:])
    style = STYLES.get(answer.phase, "cyan" if answer.phase == "answering" else "dim")
    return Panel(
        body,
        title=Text(wording.clean(answer.model), style="bold"),
        subtitle=Text(wording.STATUS[answer.phase]),
        border_style=style,
        height=rows,
    )


def _body(answer: Answer) -> Text:
    body = Text()
    if answer.reasoning:
        body.append(wording.clean(answer.reasoning).strip() + "\n", style="dim italic")
    body.append(wording.clean(answer.text).strip())
    for note in answer.notes:
        body.append(f"\nnote: {wording.clean(note)}", style="yellow")
    for medium in answer.media.values():
        # The address is long: here it is a link behind the words, below it stands in full.
        link = f" link {medium.url}" if medium.url and medium.state == "stored" else ""
        body.append("\n• ")
        body.append(wording.medium(medium, link=False), style=f"magenta{link}")
    if answer.phase == "failed":
        body.append("\n" + wording.status(answer), style="red")
    return body


def summary(comparison: Comparison, *, measured: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in wording.HEADINGS:
        table.add_column(heading, justify="left" if heading in ("model", "status") else "right")
    answers = comparison.answers.values()
    for row, answer in zip(wording.rows(comparison, measured=measured), answers, strict=True):
        table.add_row(*row[:-1], Text(row[-1], style=STYLES.get(answer.phase, "")))
    return table
