"""`polylogue run` and its commands as a person starts them: real processes, and all of them gone afterwards."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

POLYLOGUE = [sys.executable, "-m", "polylogue.cli.main"]
START_S = 240.0  # the first start of a machine downloads the servers
STOP_S = 60.0
READY = "Polylogue is ready at "
# What would lead `run` to servers or a gateway of somebody else.
FOREIGN = ("KAFKA_", "DATABASE_", "S3_", "AWS_", "OPENROUTER_", "POLYLOGUE_", "PORT", "HOST")


@dataclass
class Address:
    """Where the API of a running system answers."""

    url: str

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: bytes = answer.read()
        return found.decode()


@dataclass
class Run(Address):
    """A running `polylogue run`."""

    process: subprocess.Popen[str]
    data_dir: Path
    output: list[str]

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1"}


def start(data_dir: Path, *options: str) -> Run:
    """Returns when the ready line has come. Without `--port` the run takes its usual one, or another."""
    process = subprocess.Popen(
        [*POLYLOGUE, "run", "--data-dir", str(data_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=data_dir.parent,
        env=clean_environment(),
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    output: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        process.stdout.close()
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_S
    while not (output and output[-1].startswith(READY)):
        line = lines.get(timeout=max(deadline - time.monotonic(), 0.1))
        assert line is not None, "\n".join([*output, *logs(data_dir)])
        output.append(line)
    return Run(output[-1].removeprefix(READY), process, data_dir, output)


def logs(data_dir: Path) -> list[str]:
    """The end of every log, for who must find out why a start failed."""
    return [f"--- {log}\n{log.read_text()[-2000:]}" for log in sorted((data_dir / "logs").glob("*.log"))]


def polylogue(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*POLYLOGUE, *arguments],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def processes_of(data_dir: Path) -> list[str]:
    """Every process that has something to do with the data dir, by its arguments or its working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if str(data_dir) in words or Path(process.cwd()).is_relative_to(data_dir):
                found.append(words)
        except (psutil.Error, OSError):
            continue
    return found


def eventually(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
