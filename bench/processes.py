"""Starts what is measured as processes of their own, and leaves none of them behind."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from polylogue.infra.local.ports import choose
from polylogue.infra.local.stack import LocalStack, environment
from polylogue.infra.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
READY_S = 300.0  # the first start of a machine downloads the servers
STOP_S = 90.0  # a drain of the runner, and every server after it
SERVER_READY_S = 20.0
ASK_EVERY_S = 0.02
# What would lead the system to servers or a gateway of somebody else.
FOREIGN = ("KAFKA_", "DATABASE_", "S3_", "AWS_", "OPENROUTER_", "POLYLOGUE_", "PORT", "HOST")
# Those of Kafka's own start script. A laptop's Kafka runs with a small heap and without the optimising compiler.
KAFKA_AS_IN_PRODUCTION = {
    "KAFKA_HEAP_OPTS": "-Xms1g -Xmx1g",
    "KAFKA_JVM_PERFORMANCE_OPTS": "-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
    "-XX:+ExplicitGCInvokesConcurrent",
}


class BenchError(Exception):
    """Something that is needed for the measurement did not work; the message says what."""


@dataclass(frozen=True)
class System:
    """A running `polylogue run`."""

    url: str
    pid: int
    data_dir: Path
    ready_after_s: float

    def settings(self) -> Settings:
        """How to reach its servers."""
        return _settings(LocalStack(self.data_dir))


@contextmanager
def data_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="polylogue-bench-") as directory:
        # Postgres runs as another user under root and must reach its folder.
        Path(directory).chmod(0o711)
        yield Path(directory) / "data"


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """Runs `python -m module --port …` and yields its URL once it listens."""
    port = choose([])
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port), *arguments], cwd=ROOT, env=_environment({})
    )
    try:
        deadline = time.monotonic() + SERVER_READY_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{module} did not start")
            time.sleep(ASK_EVERY_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process, signal.SIGTERM, 5)


@contextmanager
def gateway() -> Iterator[str]:
    """The gateway whose text says when it was written; yields the URL that a client is given."""
    with server("bench.gateway") as url:
        yield f"{url}/v1"


@contextmanager
def local_servers(*names: str) -> Iterator[Settings]:
    """Kafka, Postgres or S3 alone, with data of their own; Kafka as in production."""
    with data_directory() as directory, patch.dict(os.environ, KAFKA_AS_IN_PRODUCTION):
        stack = LocalStack(directory, services=frozenset(names))
        stack.up()
        try:
            yield _settings(stack)
        finally:
            stack.down()


@contextmanager
def part(name: str, settings: Settings, *arguments: str, **extra: str) -> Iterator[int]:
    """One process of the product, such as the projector, on these servers; yields its process id."""
    named = ("kafka_bootstrap_servers", "database_url", "kafka_topic_prefix", "database_schema")
    with tempfile.TemporaryDirectory(prefix="polylogue-bench-") as elsewhere:
        process = subprocess.Popen(
            [sys.executable, "-m", "polylogue.cli.main", name, *arguments],
            cwd=elsewhere,  # away from any `.env`
            env=_environment({one.upper(): str(getattr(settings, one)) for one in named} | extra),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process.pid
        finally:
            _stop(process, signal.SIGTERM, STOP_S)


@contextmanager
def system(data_dir: Path, extra: Mapping[str, str] | None = None) -> Iterator[System]:
    """The whole product by its own command; yields when it has printed that it is ready."""
    url = f"http://127.0.0.1:{choose([])}"
    begun = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "polylogue.cli.main", "run"),
            *("--port", url.rsplit(":", 1)[1], "--data-dir", str(data_dir)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=data_dir.parent,  # away from any `.env`
        env=_environment(extra or {}),
    )
    try:
        ready_at = _wait_for_line(process, f"Polylogue is ready at {url}")
        yield System(url, process.pid, data_dir, ready_at - begun)
    finally:
        if not _stop(process, signal.SIGTERM, STOP_S):
            LocalStack(data_dir).down()  # killed, it could not do so itself


def _wait_for_line(process: subprocess.Popen[str], wanted: str) -> float:
    """The moment at which the line came; what follows is read and thrown away."""
    lines: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put((time.monotonic(), line.rstrip("\n")))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    said: list[str] = []
    deadline = time.monotonic() + READY_S
    while True:
        try:
            found = lines.get(timeout=max(deadline - time.monotonic(), 0.1))
        except queue.Empty:
            raise BenchError(f"not ready after {READY_S:.0f} s:\n" + "\n".join(said)) from None
        if found is None:
            raise BenchError("`polylogue run` ended:\n" + "\n".join(said))
        at, line = found
        if line == wanted:
            return at
        said.append(line)


def _stop(
    process: subprocess.Popen[str] | subprocess.Popen[bytes], number: signal.Signals, patience_s: float
) -> bool:
    """Whether it ended by itself."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def _settings(stack: LocalStack) -> Settings:
    named = environment(stack.endpoints())
    return load_settings(**{name.lower(): value for name, value in named.items()}, _env_file=None)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "NO_COLOR": "1"} | dict(extra)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
