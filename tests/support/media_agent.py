"""Media agents as processes of their own, which a test can watch, stop and let die where it wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polylogue.infra.settings import Settings
from tests.support.processes import Process, process


class AgentProcess(Process):
    async def ended(self, timeout_s: float) -> int:
        await until(lambda: self.child.poll() is not None, timeout_s)
        return int(self.child.returncode)

    async def ready(self, timeout_s: float = 30) -> None:
        await until(lambda: "media_agent_ready" in self.text() or self.child.poll() is not None, timeout_s)
        assert self.child.poll() is None, self.text()


@contextmanager
def agent(settings: Settings, *, crash_at: str | None = None, **changes: object) -> Iterator[AgentProcess]:
    """A media agent with some settings of its own, killed at the end."""
    extra = {name.upper(): str(value) for name, value in changes.items()} | {"LOG_LEVEL": "info"}
    if crash_at:
        extra["POLYLOGUE_CRASH_AT"] = crash_at
    with process("media-agent", settings, **extra) as started:
        yield AgentProcess(started.name, started.child, started.log)


async def until(condition: Callable[[], bool], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.05)
