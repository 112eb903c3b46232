"""Times that travel inside the text of an answer, so that no clock or side channel has to be matched up."""

from __future__ import annotations

import re
import time

_STAMP = re.compile(rb"@(\d{19})@")


def stamp() -> str:
    """Now, as text. Every process of this machine reads the same clock."""
    return f"@{time.time_ns()}@"


def stamps(data: bytes) -> list[int]:
    """All that stand in the data, in ns."""
    return [int(found) for found in _STAMP.findall(data)]
