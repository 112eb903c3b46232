"""A bounded pool of threads that a process may leave behind when it ends.

The standard library's pool waits at exit for whatever still runs; a request that hangs would then hold up SIGTERM.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_Job = Callable[[], None]


class DaemonThreads:
    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        self._started = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Runs `work` as soon as a thread is free; a future that is cancelled before is not begun."""
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 (it belongs to whoever awaits the future)
                future.set_exception(error)

        self._jobs.put(job)
        return future

    def close(self) -> None:
        """The threads end after what was submitted; nobody waits for them."""
        if self._started:
            for _ in self._threads:
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
