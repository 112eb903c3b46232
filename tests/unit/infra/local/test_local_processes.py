"""Processes are found by who they are, and stopped for good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from polylogue.infra.local import processes
from polylogue.infra.local.service import ENVIRONMENT

READY = "import time; print('ready', flush=True)\n"
SLEEP = READY + "time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP


class Server:
    """A process of ours with a marker, its record and its log."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "run" / "server.pid"
        self.log = folder / "logs" / "server.log"
        self.marker = f"--marker={folder}"
        self.folder = folder

    def spawn(self, code: str = SLEEP) -> psutil.Process:
        command = [sys.executable, "-c", code, self.marker]
        process = processes.spawn(
            command, log=self.log, record=self.record, environment=ENVIRONMENT, cwd=self.folder
        )
        _until(lambda: "ready" in processes.tail(self.log))
        return process

    def find(self) -> psutil.Process | None:
        return processes.find(self.record, self.marker)

    def stop(
        self, process: psutil.Process, killed: Callable[[], None] = lambda: None, patience_s: float = 10
    ) -> None:
        processes.stop(process, self.record, with_signal=signal.SIGTERM, patience_s=patience_s, killed=killed)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    yield one
    while left := one.find():
        processes.kill(left)


def _until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_spawned_server_is_found_by_its_record(server: Server) -> None:
    process = server.spawn()
    assert server.find() == process


def test_spawned_server_has_a_session_of_its_own_and_none_of_our_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "canary")
    process = server.spawn()
    assert os.getsid(process.pid) == process.pid
    assert "OPENROUTER_API_KEY" not in process.environ()


@pytest.mark.parametrize("record", [None, "", "{}", '{"pid": 1, "created": 0}', '{"pid": "x"}', "[]"])
def test_server_without_a_good_record_is_found_by_its_marker(server: Server, record: str | None) -> None:
    process = server.spawn()
    server.record.unlink()
    if record is not None:
        server.record.write_text(record)
    assert server.find() == process


def test_process_that_got_the_recorded_id_later_is_not_taken_for_the_server(server: Server) -> None:
    other = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)
    try:
        server.record.parent.mkdir()
        server.record.write_text(
            json.dumps({"pid": other.pid, "created": psutil.Process(other.pid).create_time()})
        )
        assert server.find() is None
    finally:
        other.kill()
        other.wait()


def test_killed_server_is_not_found(server: Server) -> None:
    process = server.spawn()
    os.kill(process.pid, signal.SIGKILL)
    _until(lambda: not processes.is_alive(process))
    assert server.find() is None


def test_zombie_of_another_parent_counts_as_gone(server: Server) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    process = psutil.Process(child.pid)
    _until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    assert processes.wait_gone([process], timeout_s=5)
    child.returncode = 0  # it has been reaped above


def test_stop_leaves_no_process_and_no_record(server: Server) -> None:
    process = server.spawn()
    server.stop(process)
    assert not processes.is_alive(process)
    assert not server.record.exists()


def test_server_that_ignores_the_signal_is_killed_and_that_is_said(server: Server) -> None:
    process = server.spawn(STUBBORN)
    said: list[str] = []
    server.stop(process, lambda: said.append("killed"), patience_s=0.1)
    assert said == ["killed"]
    assert not processes.is_alive(process)


def test_children_of_a_stopped_server_end_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CHILDREN_PATIENCE_S", 0.1)
    starts_child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\nimport time; time.sleep(60)"
    process = server.spawn(starts_child)
    (child,) = process.children()
    server.stop(process)
    assert not processes.is_alive(child)


def test_log_of_the_last_run_is_kept_beside_the_new_one(server: Server) -> None:
    server.stop(server.spawn("print('first run')\n" + SLEEP))
    server.spawn("print('second run')\n" + SLEEP)
    assert "first run" in processes.tail(server.log.with_suffix(".log.1"))
    assert "first run" not in processes.tail(server.log)


def test_tail_is_the_end_of_the_log_or_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert processes.tail(log) == ""
    log.write_text("\n".join(f"line {number}" for number in range(10_000)))
    assert processes.tail(log, lines=2) == "line 9998\nline 9999"
