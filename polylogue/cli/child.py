"""The side of a process that `polylogue run` started: it takes its environment from the pipe and ends with it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass

_STDIN = 0


@dataclass
class _Supervision:
    under: bool = False


_supervision = _Supervision()


def declare() -> None:
    """Says that standard input is the pipe of `polylogue run`."""
    _supervision.under = True


def supervised() -> bool:
    return _supervision.under


def take_environment() -> None:
    """Waits for the line that names the servers, then watches the pipe: when it closes, the parent is gone.

    A pipe closes however the parent ends, kill -9 included, on every system.
    """
    line = _read_line()
    if line is None:
        raise SystemExit(0)  # stopped, or its parent killed, before there was anything to do
    given = json.loads(line)
    os.environ.update(given["environment"])
    threading.Thread(target=_watch, args=[float(given["patience_s"])], daemon=True, name="parent").start()


def _read_line() -> bytes | None:
    # Unbuffered: a thread that sits in a buffered reader keeps the interpreter from ending.
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(_STDIN, 65_536)
        if not piece:
            return None
        line += piece
    return line


def _watch(patience_s: float) -> None:
    while os.read(_STDIN, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience_s)
    os._exit(1)  # nobody is left to do it
