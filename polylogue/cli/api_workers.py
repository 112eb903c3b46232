"""`polylogue api --workers N`: processes that share one port, started again when they die and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from polylogue.cli.problems import Problem
from polylogue.cli.supervisor import Program, Supervisor
from polylogue.infra.lifecycle import Main
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

STOP_S = 10.0  # every process promises to end within this time

log = get_logger("polylogue.api.workers")


class Worker:
    """One of the processes; it ends with us, however we end, since its standard input is our pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def wait(self) -> int:
        return await self._process.wait()

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just died
            self._process.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def spawn(program: Program) -> Worker:
    process = await asyncio.create_subprocess_exec(*program.arguments, stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    # Each tells its counts to the others: one port for all of them has nothing to add, and only one can have it.
    given = {"environment": {"METRICS_PORT": "0"}, "patience_s": STOP_S}
    process.stdin.write(json.dumps(given).encode() + b"\n")
    log.info("worker started", name=program.name, pid=process.pid)
    return Worker(process)


def keeping(workers: int) -> Main:
    """The main coroutine of the parent. Raises Problem where a worker dies too often."""

    async def main(settings: Settings, stop: asyncio.Event) -> None:
        if settings.port == 0:
            raise Problem("Workers share one port, so it must be named; 0 gives each its own.")
        supervisor = Supervisor(spawn, log.warning)
        with TemporaryDirectory(prefix="polylogue-api-", ignore_cleanup_errors=True) as sockets:
            programs = [
                _program(settings, Path(sockets) / f"{number}.sock") for number in range(1, workers + 1)
            ]
            for program in programs:
                supervisor.keep(program)
            stopping = asyncio.create_task(stop.wait())
            try:
                waited_for: set[asyncio.Future[Any]] = {stopping, supervisor.gave_up}
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                await asyncio.gather(*(supervisor.stop(program.name) for program in programs))
        if supervisor.gave_up.done():
            raise Problem(f"Stopping: {supervisor.gave_up.result()}", exit_code=1)

    return main


def _program(settings: Settings, socket: Path) -> Program:
    return Program(
        name=f"api worker {socket.stem}",
        arguments=(
            *(sys.executable, "-m", "polylogue.cli.main"),
            *("--supervised-in", str(settings.polylogue_home), "api", "--worker", str(socket)),
            *("--host", settings.host, "--port", str(settings.port)),
        ),
        log=Path("its standard error"),
        patience_s=STOP_S,
    )
