"""Several processes on one port: one that is killed is replaced, and all end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polylogue.infra.settings import Settings
from tests.support.processes import environment, free_port, wait_until

WAIT_S = 60.0


def children(pid: int) -> set[int]:
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def listening(pid: int, port: int) -> bool:
    """Whether a process holds a listening socket on the port."""
    wanted = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    try:
        held = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    return any(f"socket:[{inode}]" in held for inode in wanted)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()


@contextmanager
def two_workers(settings: Settings, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "polylogue.cli.main", "api", "--workers", "2", "--port", str(port)]
    settings.polylogue_home.mkdir(parents=True, exist_ok=True)
    parent = subprocess.Popen(
        # A port for metrics can be had once: it must not keep the second worker from starting.
        command,
        env=environment(settings, METRICS_PORT=str(free_port())),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(children(parent.pid)) == 2, "two workers", within_s=WAIT_S)
        wait_until(
            lambda: all(listening(one, port) for one in children(parent.pid)), "both listen", within_s=WAIT_S
        )
        yield parent
    finally:
        parent.kill()
        parent.wait()


def test_a_worker_that_is_killed_is_replaced_and_sigterm_ends_all(prepared: Settings) -> None:
    port = free_port()
    with two_workers(prepared, port) as parent:
        wait_until(lambda: answers(port), "the port answers", within_s=WAIT_S)
        before = children(parent.pid)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: (
                len(now := children(parent.pid)) == 2
                and killed not in now
                and all(listening(one, port) for one in now)
            ),
            "a new worker listens",
            within_s=WAIT_S,
        )
        wait_until(lambda: answers(port), "the port answers again", within_s=WAIT_S)
        wait_until(
            lambda: all(f'polylogue_api_subscribers{{worker="{one}"}} 0.0' in metrics(port) for one in "12"),
            "whichever is asked tells of both",
            within_s=WAIT_S,
        )
        workers = children(parent.pid)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(WAIT_S) == 0
    assert not [one for one in workers if Path(f"/proc/{one}").exists()]


def test_workers_end_when_their_parent_is_killed(prepared: Settings) -> None:
    port = free_port()
    with two_workers(prepared, port) as parent:
        workers = children(parent.pid)
        parent.kill()
        parent.wait()
        wait_until(
            lambda: not [one for one in workers if listening(one, port)],
            "nobody listens any more",
            within_s=WAIT_S,
        )
