"""The files of a data dir by which commands find a running Polylogue, and what a killed one has left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    import psutil

DEFAULT_HOME = ".polylogue"
DEFAULT_URL = "http://127.0.0.1:8000"
CLEAR_S = 10.0  # for leftovers to end by themselves
STOP_S = 120.0  # for another `run` to end: a drain, and every server after it
ASK_EVERY_S = 0.1


class Home:
    """One data dir."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().resolve()
        self._lock = self.directory / "run" / "run.lock"
        self._url = self.directory / "run" / "api.url"
        self._simulator_url = self.directory / "run" / "simulator.url"

    @property
    def mark(self) -> str:
        """The argument that the processes of this data dir have and no others."""
        return f"--supervised-in={self.directory}"

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """One `run` a data dir. Raises Problem where there is another."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        # The kernel drops the lock with its holder, kill -9 included.
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(descriptor):
                raise Problem(
                    f"Polylogue is running already with the data in {self.directory}"
                    f"{f' at {url}' if (url := self.url()) else ''}; stop it, or name another --data-dir."
                )
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield
        finally:
            os.close(descriptor)

    def publish(self, url: str, simulator_url: str | None) -> None:
        """Lets `ask` and `watch` find the API without being told."""
        self._url.write_text(url + "\n")
        if simulator_url is not None:
            self._simulator_url.write_text(simulator_url + "\n")

    def unpublish(self) -> None:
        self._url.unlink(missing_ok=True)
        self._simulator_url.unlink(missing_ok=True)

    def url(self) -> str | None:
        """Where the API of this data dir is, or was when it was killed."""
        try:
            return self._url.read_text().strip() or None
        except OSError:
            return None

    def stop_run(self) -> bool:
        """Stops the `run` that holds this data dir, and waits for its end; False where there is none."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            if _locked(descriptor):
                return False
            number = os.pread(descriptor, 20, 0)
            if number.isdigit():
                os.kill(int(number), signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise Problem(
                        f"Polylogue (process {number.decode()}) did not stop within {STOP_S:.0f} s."
                    )
                time.sleep(ASK_EVERY_S)
        finally:
            os.close(descriptor)
        return True

    def clear_leftovers(self) -> int:
        """Ends the processes of a `run` that was killed; returns how many there were. Call it holding the dir."""
        import psutil

        left = [process for process in psutil.process_iter() if self._ours(process)]
        for process in left:
            _signal(process, signal.SIGTERM)
        _, stubborn = psutil.wait_procs(left, timeout=CLEAR_S)
        for process in stubborn:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=CLEAR_S)
        return len(left)

    def _ours(self, process: psutil.Process) -> bool:
        import psutil

        try:
            return self.mark in process.cmdline()
        except psutil.Error:  # gone meanwhile, or another user's
            return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def home_directory(given: Path | None) -> Path:
    """The data dir: the option, else POLYLOGUE_HOME from the environment or `.env`."""
    if given is not None:
        return given
    named = os.environ.get("POLYLOGUE_HOME")
    if not named and Path(".env").is_file():
        from dotenv import dotenv_values

        named = dotenv_values(".env").get("POLYLOGUE_HOME")
    return Path(named or DEFAULT_HOME)


def api_url(given: str | None) -> str:
    """Where the API is: the option, else POLYLOGUE_URL, else what `run` has written, else the default port."""
    return given or os.environ.get("POLYLOGUE_URL") or Home(home_directory(None)).url() or DEFAULT_URL
