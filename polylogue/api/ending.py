"""What is to be done when an answer has ended, by whoever has it then: a stream outlives the task that began it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from starlette.types import Scope

_KEY = "polylogue.ending"  # in the ASGI scope of a request


class Ending:
    """Of one request."""

    __slots__ = ("_steps", "kept")

    def __init__(self) -> None:
        self._steps: list[Callable[[], Any]] = []
        self.kept = False  # somebody runs it later

    def add(self, step: Callable[[], Any]) -> None:
        self._steps.append(step)

    def enter(self, context: AbstractContextManager[Any]) -> None:
        """Now, and leaves it at the end."""
        context.__enter__()
        self.add(partial(context.__exit__, None, None, None))

    def run(self) -> None:
        """What was added last comes first; nothing is done twice."""
        while self._steps:
            self._steps.pop()()


@contextmanager
def ending(scope: Scope) -> Iterator[Ending]:
    """The one of the request: whoever asks first runs it, unless it was kept."""
    known: Ending | None = scope.get(_KEY)
    if known is not None:
        yield known
        return
    made = scope[_KEY] = Ending()
    try:
        yield made
    finally:
        if not made.kept:
            made.run()
