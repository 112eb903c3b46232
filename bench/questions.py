"""Asks a question over HTTP and notes when each stamp of the answer came back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from bench.processes import BenchError
from bench.stamps import stamps

ANSWER_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Line:
    """A `data:` line and the time at which its last byte was here, in Unix ns."""

    at_ns: int
    data: bytes

    @property
    def stamps(self) -> list[int]:
        return stamps(self.data)


async def ask(session: aiohttp.ClientSession, url: str, prompt: str, models: Sequence[str]) -> list[Line]:
    """All `data:` lines of the answer."""
    lines: list[Line] = []
    rest = b""
    async with session.post(
        f"{url}/api/compare-stream",
        json={"input_data": prompt, "models": list(models)},
        timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
    ) as response:
        if response.status != 200:
            raise BenchError(f"{url} answered {response.status}: {(await response.text())[:300]}")
        async for piece in response.content.iter_any():
            now = time.time_ns()
            *whole, rest = (rest + piece).split(b"\n")
            lines += [Line(now, line) for line in whole if line.startswith(b"data:")]
    return lines


def latencies_ms(lines: Sequence[Line]) -> list[float]:
    """From the gateway's write of each stamp to its arrival here."""
    return [(line.at_ns - written) / 1e6 for line in lines for written in line.stamps]
