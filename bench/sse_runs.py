"""One run of the fan-out: a server, a writer of events and a reader of streams, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import ROOT, BenchError, part, server
from polylogue.infra.local.ports import choose
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.migrate import upgrade
from tests.support.processes import environment

PARTITIONS = 12
READY_S = 60.0
WARM_S = 2.0


@dataclass(frozen=True)
class Server:
    port: int
    pid: int
    path: str  # with {} for the conversation's id


async def prepare(settings: Settings) -> None:
    await apply_topics(settings, partitions=PARTITIONS)
    await asyncio.to_thread(upgrade, settings)


@asynccontextmanager
async def product(settings: Settings, *, workers: int = 1) -> AsyncIterator[Server]:
    port = choose([])
    arguments = ["--workers", str(workers)] if workers > 1 else []
    given = {name: value for name, value in environment(settings).items() if name not in ("PATH", "PORT")}
    with part("api", settings, *arguments, **(given | {"PORT": str(port), "LOG_LEVEL": "warning"})) as pid:
        await _until_ready(f"http://127.0.0.1:{port}/readyz")
        yield Server(port, pid, "/api/v1/conversations/{}/events")


@asynccontextmanager
async def plain(settings: Settings) -> AsyncIterator[Server]:
    brokers = settings.kafka_bootstrap_servers or ""
    with server(
        "bench.plain_sse", "--brokers", brokers, "--topic", topic_name(settings, CONVERSATION_EVENTS)
    ) as url:
        port = int(url.rsplit(":", 1)[1])
        yield Server(port, _pid_of(port), "/events/{}")


async def run(
    settings: Settings,
    server: Server,
    *,
    connections: int,
    conversations: int = 1,
    rate: float = 0,
    seconds: float = 5,
    windows: int = 1,
    what: str = "tail",
    first: int = 1000,
    slow: int = 0,
    settle_s: float = 2,
    warm_s: float = WARM_S,
) -> list[dict[str, Any]]:
    """What `bench.sse_load` found in each window; the writer's CPU is `write_cpu_s` of all windows together."""
    lasts = windows * (seconds + (3 if what == "storm" else 0)) + warm_s + 3
    with tempfile.TemporaryDirectory(prefix="polylogue-bench-") as directory:
        paths = Path(directory) / "paths"
        events = await _python(
            settings,
            "bench.sse_events",
            *("--rate", str(rate), "--seconds", str(lasts), "--conversations", str(conversations)),
            *("--partitions", str(PARTITIONS), "--run", secrets.token_hex(4)),
        )
        try:
            ids = json.loads(await _line(events))
            paths.write_text("\n".join(server.path.format(one) for one in ids))
            load = await _python(
                settings,
                "bench.sse_load",
                *("--port", str(server.port), "--pid", str(server.pid), "--paths", str(paths)),
                *("--connections", str(connections), "--seconds", str(seconds), "--windows", str(windows)),
                *("--what", what, "--first", str(first), "--slow", str(slow), "--warm", str(warm_s)),
            )
            try:
                for _ in range(2 if what == "idle" else 1):
                    if await _line(load) != b"connected\n":
                        raise BenchError("the readers did not connect")
                    if what == "idle":
                        await asyncio.sleep(settle_s)
                        _tell(load)
                if what != "idle":
                    _tell(events)
                found: list[dict[str, Any]] = json.loads(await _line(load))
                return found
            finally:
                await _end(load)
        finally:
            await _end(events)


async def _python(settings: Settings, module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=ROOT,
        env=environment(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise BenchError("a process of the load ended before its time")
    return line


def _tell(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _until_ready(url: str) -> None:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async with asyncio.timeout(READY_S):
        while not await asyncio.to_thread(ready):  # noqa: ASYNC110 (another process's state)
            await asyncio.sleep(0.1)


def _pid_of(port: int) -> int:
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        if "bench.plain_sse" in (process.info["cmdline"] or ()) and str(port) in process.info["cmdline"]:
            return int(process.pid)
    raise BenchError("the plain server has no process")
