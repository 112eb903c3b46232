"""Starts, finds and stops server processes that outlive the program that started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CREATED_TOLERANCE_S = 2.0  # the boot time that create times are counted from is read in whole seconds
KILL_WAIT_S = 10.0
CHILDREN_PATIENCE_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True)
class Owner:
    """The system user that a server runs as, where it may not be ours."""

    name: str
    uid: int
    gid: int


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    record: Path,
    owner: Owner | None = None,
    environment: Mapping[str, str],
    cwd: Path,
) -> psutil.Process:
    """Start a server in a session of its own: the terminal's Ctrl-C is not for it, and it outlives us."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))  # one old log is kept: it says why the last run ended
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            env=environment,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
    # From here on the process is known by its id alone; told that it has ended, Popen does not warn about it.
    child.returncode = 0
    process = psutil.Process(child.pid)
    _write_record(record, process)
    return process


def find(record: Path, marker: str) -> psutil.Process | None:
    """The running server that `record` names or, where the record is missing or stale, whose argument is `marker`.

    The marker is an argument that only this server of this data dir has, so that neither a recycled process id is
    taken for a server nor a server overlooked whose starter was killed before it wrote the record.
    """
    process = _recorded(record)
    if process is not None and has_argument(process, marker):
        return process
    for candidate in psutil.process_iter():
        if (
            has_argument(candidate, marker)
            and is_alive(candidate)
            and not has_argument(_parent(candidate), marker)
        ):
            return candidate
    return None


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a dead child of ours is reaped."""
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.is_running()
        process.wait(timeout=0)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        return False
    return False


def stop(
    process: psutil.Process,
    record: Path,
    *,
    with_signal: signal.Signals,
    patience_s: float,
    killed: Callable[[], None],
) -> None:
    """Ask the process to end, and kill it and its children when it does not in time; `killed` is told then."""
    family = _children(process)
    with suppress(psutil.NoSuchProcess):
        process.send_signal(with_signal)
    if not wait_gone([process], patience_s):
        killed()
        kill(process)
    # The children follow their server by themselves; one that does not is left by nobody.
    if not wait_gone(family, CHILDREN_PATIENCE_S):
        for child in family:
            kill(child)
    record.unlink(missing_ok=True)


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
    wait_gone([process], KILL_WAIT_S)


def wait_gone(watched: list[psutil.Process], timeout_s: float) -> bool:
    """Whether all of them have ended in time. A zombie has: whoever inherited it may be slow to reap it, or never do."""
    deadline = time.monotonic() + timeout_s
    while any(is_alive(process) for process in watched):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def has_argument(process: psutil.Process | None, argument: str) -> bool:
    if process is None:
        return False
    try:
        return argument in process.cmdline()
    except psutil.Error:  # gone meanwhile, a zombie, or another user's: not a server that we can speak for
        return False


def tail(log: Path, lines: int = 15) -> str:
    """The end of a server's log, for the person who must find out why it does not start."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _write_record(record: Path, process: psutil.Process) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    try:
        created = process.create_time()
    except psutil.NoSuchProcess:
        return  # it died at once; whoever waits for it to answer will see that
    fresh = record.with_suffix(".tmp")
    fresh.write_text(json.dumps({"pid": process.pid, "created": created}))
    fresh.replace(record)


def _recorded(record: Path) -> psutil.Process | None:
    try:
        noted = json.loads(record.read_text())
        process = psutil.Process(int(noted["pid"]))
        same = abs(process.create_time() - float(noted["created"])) <= CREATED_TOLERANCE_S
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process if same and is_alive(process) else None
