"""A lock that only one process holds at a time and that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from polylogue.infra.local.errors import LocalStackError

POLL_S = 0.05


@contextmanager
def held(path: Path, *, timeout_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path`; `waiting` is called once when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The kernel drops the lock when the process ends, kill -9 included; the file itself stays and means nothing.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LocalStackError(
                        f"Another process has held {path} for {timeout_s:.0f} s; wait for it or stop it."
                    ) from None
                if not told:
                    waiting()
                    told = True
                time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)
