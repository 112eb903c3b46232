"""Real processes of the system, started, killed and paused by tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from polylogue.infra.local.ports import choose
from polylogue.infra.settings import Settings

_told: set[int] = set()

MAINS = {
    "runner": "polylogue.streams.runner",
    "media-agent": "polylogue.streams.media_agent",
    "sweeper": "polylogue.streams.sweeper",
    "projector": "polylogue.projections.projector",
    "rebuild": "tests.support.rebuild_process",
    "api": "polylogue.cli.projections.operator",
    "webhooks": "polylogue.streams.webhooks",
}


def environment(settings: Settings, **extra: str) -> dict[str, str]:
    """The environment under which another process reads the same settings."""
    values = {}
    for name, value in settings:
        if value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            values[name.upper()] = str(plain).lower() if isinstance(plain, bool) else str(plain)
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"} | values | extra


class Process:
    """A child process with its log in a file."""

    def __init__(self, name: str, child: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.child = child
        self.log = log

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.child.pid, number)

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        if self.child.poll() is None:
            self.signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, *, within_s: float = 15) -> int:
        """SIGTERM; raises TimeoutExpired where that does not end it."""
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.child.wait(within_s)

    def text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def process(name: str, settings: Settings, **extra: str) -> Iterator[Process]:
    """Runs one of MAINS until the block ends; kills what is left."""
    code = (
        f"from {MAINS[name]} import serve; from polylogue.infra.lifecycle import run_process; "
        f"from polylogue.infra.settings import load_settings; run_process({name!r}, load_settings(), serve)"
    )
    settings.polylogue_home.mkdir(parents=True, exist_ok=True)
    log = settings.polylogue_home / f"{name}-{time.monotonic_ns()}.log"
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment(settings, **extra),
            cwd=Path(__file__).parents[2],
            stdout=sink,
            stderr=sink,
        )
    running = Process(name, child, log)
    try:
        yield running
    finally:
        if child.poll() is None:
            child.kill()  # also ends one that is stopped by SIGSTOP
        child.wait()


class Simulator:
    """The simulated gateway as a process of its own."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.origin}/api/v1"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.origin + path, timeout=5) as answer:
            return json.load(answer)

    def stats(self) -> dict[str, int]:
        return self.get("/sim/stats")

    def media_sha256(self) -> list[str]:
        """SHA-256 of every medium that was sent whole, oldest answer first."""
        generations = reversed(self.get("/sim/generations")["data"])
        return [medium["sha256"] for generation in generations for medium in generation["media"]]


@contextmanager
def simulator() -> Iterator[Simulator]:
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "polylogue.simulator", "--port", str(port)],
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    running = Simulator(port)
    try:
        wait_until(lambda: _answers(running), "the simulator answers")
        yield running
    finally:
        child.kill()
        child.wait()


def free_port() -> int:
    """One that no outgoing connection takes before it is used, and that nobody here was told before."""
    port = choose([], taken=frozenset(_told))
    _told.add(port)
    return port


def wait_until(condition: Callable[[], bool], what: str, *, within_s: float = 60) -> None:
    """Waits on a condition; raises TimeoutError that names it."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)


def _answers(running: Simulator) -> bool:
    try:
        running.stats()
    except OSError:
        return False
    return True
