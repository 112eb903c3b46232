"""Keeps processes running: starts again what dies, gives up on what dies too often, stops all in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

DEATHS = 3  # within DEATHS_WITHIN_S: a process that cannot work, rather than one that had bad luck
DEATHS_WITHIN_S = 60.0
FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 8.0


@dataclass(frozen=True)
class Program:
    """`patience_s` is how long it may take to end after SIGTERM."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    patience_s: float
    metrics_offset: int = 0  # its metrics port is METRICS_PORT and this


class Running(Protocol):
    """A process that was started."""

    async def wait(self) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


Spawn = Callable[[Program], Awaitable[Running]]
Say = Callable[[str], None]


class Deaths:
    """When one process died, and so how long to wait before it is started again."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=DEATHS)

    def note(self, at_s: float) -> float | None:
        """Seconds until the next start; None after too many deaths in too short a time."""
        self._times.append(at_s)
        recent = sum(at_s - time_s <= DEATHS_WITHIN_S for time_s in self._times)
        if recent >= DEATHS:
            return None
        return float(min(FIRST_RESTART_S * 2 ** (recent - 1), LONGEST_RESTART_S))


@dataclass
class _Kept:
    program: Program
    running: Running | None = None
    stopping: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Supervisor:
    """`gave_up` holds a sentence once a process has died too often; stopping the others is the caller's."""

    def __init__(
        self,
        spawn: Spawn,
        say: Say,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._spawn = spawn
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self._kept: dict[str, _Kept] = {}
        self.gave_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def keep(self, program: Program) -> None:
        """Starts the program and keeps it running until `stop`."""
        kept = self._kept[program.name] = _Kept(program)
        kept.task = asyncio.create_task(self._keep(kept), name=program.name)

    async def stop(self, name: str) -> None:
        """SIGTERM, a wait, SIGKILL when it took too long. A name that is not kept is no error."""
        kept = self._kept.get(name)
        if kept is None or kept.task is None:
            return
        kept.stopping = True
        if kept.running is None:
            kept.task.cancel()
        else:
            kept.running.terminate()
        _, late = await asyncio.wait([kept.task], timeout=kept.program.patience_s)
        if late and kept.running is not None:
            self._say(f"{name} did not stop within {kept.program.patience_s:.0f} s and was killed")
            kept.running.kill()
        await asyncio.wait([kept.task])
        del self._kept[name]

    def kill_all(self) -> None:
        """For those who cannot wait: what is running ends at once and stays ended; `stop` then returns soon."""
        for kept in self._kept.values():
            kept.stopping = True
            if kept.running is not None:
                kept.running.kill()

    async def _keep(self, kept: _Kept) -> None:
        deaths, program = Deaths(), kept.program
        while not kept.stopping:
            kept.running = await self._spawn(program)
            code = await kept.running.wait()
            kept.running = None
            if kept.stopping:
                return
            wait_s = deaths.note(self._clock())
            if wait_s is None:
                if not self.gave_up.done():
                    self.gave_up.set_result(
                        f"{program.name} ended {DEATHS} times within {DEATHS_WITHIN_S:.0f} s "
                        f"(the last time {_how(code)}); see {program.log}."
                    )
                return
            self._say(
                f"{program.name} ended unexpectedly ({_how(code)}); starting it again in {wait_s:.1f} s, see {program.log}"
            )
            await self._sleep(wait_s)


def _how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
