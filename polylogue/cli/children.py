"""Starts the processes of `polylogue run`: a pipe as standard input, a log file for the rest."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from polylogue.cli.supervisor import Program


class Child:
    """A process of ours; its standard input stays open as long as we live."""

    def __init__(self, process: asyncio.subprocess.Process, released: asyncio.Task[None]) -> None:
        self._process = process
        self._released = released

    async def wait(self) -> int:
        try:
            return await self._process.wait()
        finally:
            self._released.cancel()

    def terminate(self) -> None:
        self._signal(kill=False)

    def kill(self) -> None:
        self._signal(kill=True)

    def _signal(self, *, kill: bool) -> None:
        with suppress(ProcessLookupError):  # it ended a moment ago
            if kill:
                self._process.kill()
            else:
                self._process.terminate()


class Children:
    """Starts processes at once and lets them loose when their environment is known."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._environment: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    def release(self, environment: dict[str, str]) -> None:
        """Every process, now and later, gets this environment and begins its work."""
        self._environment.set_result(environment)

    async def spawn(self, program: Program) -> Child:
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "polylogue.cli.main",
                self._mark,
                *program.arguments,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is ours to pass on, in the right order
            )
        return Child(process, asyncio.create_task(self._let_loose(process, program)))

    async def _let_loose(self, process: asyncio.subprocess.Process, program: Program) -> None:
        environment = await asyncio.shield(self._environment)
        port = int(environment.get("METRICS_PORT", "0"))
        if port:
            # Each process serves its own, so each has a port of its own: METRICS_PORT and those after it.
            environment = environment | {"METRICS_PORT": str(port + program.metrics_offset)}
        line = {"environment": environment, "patience_s": program.patience_s}
        if process.stdin is None:
            return
        try:
            process.stdin.write(json.dumps(line).encode() + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died; whoever waits for it knows


def roll(log: Path) -> None:
    """Keeps one old log: it says why the last run ended."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
