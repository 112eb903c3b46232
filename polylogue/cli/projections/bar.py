"""A progress bar on standard error; where that is no terminal, a line every few seconds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from polylogue.cli.projections import wording

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 5.0


class Bar:
    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        self._next = time.monotonic() + LINE_EVERY_S

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        console = Console(stderr=True)
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[words]}"),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._bar.add_task(self._title, total=None, words="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int, per_s: float | None = None, eta_s: float | None = None) -> None:
        words = f"{wording.count(done)} of {wording.count(total)} records"
        if per_s is not None:
            words += f", {wording.count(per_s)}/s, {wording.duration(eta_s)} left"
        if self._bar is not None:
            (task,) = self._bar.task_ids
            self._bar.update(task, completed=done, total=total, words=words)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            print(f"{self._title}: {words}", file=sys.stderr, flush=True)
