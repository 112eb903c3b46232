"""`polylogue run` and `polylogue ask` as a newcomer uses them: real processes, the local stack, simulated models."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from polylogue.schemas.frames import decode_frame

POLYLOGUE = [sys.executable, "-m", "polylogue.cli.main"]
MODELS = "sim/text,sim/painter,sim/mixed"
START_S = 240.0  # the first start of a machine downloads the servers
STOP_S = 60.0
# What would lead `run` to servers or a gateway of somebody else.
FOREIGN = ("KAFKA_", "DATABASE_", "S3_", "AWS_", "OPENROUTER_", "POLYLOGUE_", "PORT", "HOST")

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@dataclass
class Run:
    """A running `polylogue run`."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path
    output: list[str]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(data_dir: Path) -> Run:
    """Returns when the ready line has come."""
    port = free_port()
    process = subprocess.Popen(
        [*POLYLOGUE, "run", "--port", str(port), "--data-dir", str(data_dir)],
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
    ready = f"Polylogue is ready at http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_S
    while ready not in output:
        line = lines.get(timeout=max(deadline - time.monotonic(), 0.1))
        assert line is not None, "\n".join([*output, *logs(data_dir)])
        output.append(line)
    return Run(process, f"http://127.0.0.1:{port}", data_dir, output)


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


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data dir whose processes are ended whatever the test does."""
    directory = tmp_path / "data"
    yield directory
    polylogue("stack", "down", "--data-dir", str(directory), cwd=tmp_path)


def ask(run: Run, *options: str) -> list[dict[str, Any]]:
    """The frames of one question, each of them valid."""
    done = polylogue(
        "ask",
        "Draw a red circle and describe it",
        "--models",
        MODELS,
        "--url",
        run.url,
        "--json",
        *options,
        cwd=run.data_dir,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(decode_frame(line) is not None for line in lines)
    return [json.loads(line) for line in lines]


def stored_media(run: Run, conversation_id: str) -> list[dict[str, Any]]:
    """`media_urls` of every message, once the projection has all that was shown."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [
            medium
            for turn in run.get(f"/api/conversations/{conversation_id}")["turns"]
            for message in turn["messages"]
            for medium in message["media_urls"] or []
        ]
        return len(found) == 3 and all(medium["status"] == "stored" for medium in found)

    assert eventually(there, 15), found
    return found


def sha256_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


def made_by_the_models(run: Run) -> set[str]:
    address = (run.data_dir / "run" / "simulator.url").read_text().strip()
    with urllib.request.urlopen(f"{address}/sim/generations", timeout=10) as answer:
        return {medium["sha256"] for one in json.load(answer)["data"] for medium in one["media"]}


def test_from_a_prompt_to_a_stored_picture_that_outlives_a_stop(data_dir: Path, tmp_path: Path) -> None:
    run = start(data_dir)
    frames = ask(run, "--save", str(tmp_path / "saved"))
    kinds = [frame["type"] for frame in frames]
    assert kinds[-1] == "complete"
    assert frames[-1]["metadata"]["models_successful"] == 3
    assert [frame["model"] for frame in frames if frame["type"] == "start"] == MODELS.split(",")
    assert kinds.count("media") == 3  # the painter's picture, and a picture and a sound of the mixed one
    assert kinds.count("done") == 3

    conversation_id = frames[-1]["conversation_id"]
    media = stored_media(run, conversation_id)
    made = made_by_the_models(run)
    assert {sha256_at(medium["url"]) for medium in media} == {medium["sha256"] for medium in media}
    pictures = {medium["sha256"] for medium in media if medium["type"] == "image"}
    assert len(pictures) == 2
    assert pictures <= made
    saved = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "saved").iterdir()}
    assert saved == {medium["sha256"] for medium in media}

    assert run.stop(signal.SIGINT) == 0
    assert processes_of(data_dir) == []

    again = start(data_dir)
    listed = again.get("/api/conversations")["conversations"]
    assert conversation_id in [entry["conversation_id"] for entry in listed]
    assert {sha256_at(medium["url"]) for medium in stored_media(again, conversation_id)} == saved
    watched = polylogue("watch", conversation_id, "--url", again.url, cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert all(f"{model} |" in watched.stdout for model in MODELS.split(","))
    assert again.stop(signal.SIGTERM) == 0
    assert processes_of(data_dir) == []


def test_what_a_killed_run_leaves_is_cleared_by_the_next(data_dir: Path, tmp_path: Path) -> None:
    killed = start(data_dir)
    conversation_id = ask(killed)[-1]["conversation_id"]
    killed.process.kill()
    killed.process.wait()
    run = start(data_dir)
    assert run.get(f"/api/conversations/{conversation_id}")["turns"]
    frames = ask(run, "--conversation", conversation_id)
    assert frames[-1]["type"] == "complete"
    first_lines = [
        json.loads(log.read_text().splitlines()[0]) for log in (data_dir / "logs").glob("runner.log")
    ]
    assert [line["event"] for line in first_lines] == ["starting"]
    doctor = polylogue("doctor", cwd=data_dir.parent)
    assert doctor.returncode == 0, doctor.stdout
    down = polylogue("stack", "down", "--data-dir", str(data_dir), cwd=tmp_path)
    assert down.returncode == 0, down.stderr
    assert run.process.wait(STOP_S) == 0
    assert processes_of(data_dir) == []
