"""Named places at which a test may kill the process, as a power cut would. Off unless POLYLOGUE_CRASH_AT names one."""

from __future__ import annotations

import os
import signal

VARIABLE = "POLYLOGUE_CRASH_AT"


def crash_point(name: str) -> None:
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
