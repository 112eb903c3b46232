"""What the stack asks of each of its servers."""

from __future__ import annotations

import importlib.util
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import ClassVar

from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.processes import Owner

# The servers see none of our environment: it may hold secrets that are not for them. UTF-8, so that Java can name files
# after any object key.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

Say = Callable[[str], None]


def installed(wheel: str) -> Path:
    """The main file of a wheel of the extra `local`, found without importing it."""
    found = importlib.util.find_spec(wheel)
    if found is None or found.origin is None:
        raise LocalStackError(
            f"The local stack needs {wheel}; install it with: pip install 'polylogue[local]'"
        )
    return Path(found.origin)


class Service(ABC):
    """One server of one data dir: how to prepare, start, ask and stop it. It holds no process."""

    name: ClassVar[str]  # as in pid files and on the command line
    title: ClassVar[str]  # as people call it
    preferred_port: ClassVar[int]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_patience_s: ClassVar[float] = 20.0
    start_patience_s: ClassVar[float] = 60.0  # a recovery after kill -9 on a slow disk included

    def __init__(self, data_dir: Path, say: Say) -> None:
        self.say = say
        self.home = data_dir / self.name
        self.log = data_dir / "logs" / f"{self.name}.log"
        self.record = data_dir / "run" / f"{self.name}.pid"
        self.port_file = data_dir / "run" / f"{self.name}.port"
        self.owner: Owner | None = None  # None: whoever we are

    @property
    @abstractmethod
    def marker(self) -> str:
        """The command line argument that this server of this data dir has and no other process."""

    @abstractmethod
    def fetch(self, cancelled: Event) -> None:
        """Bring onto this machine what the server needs to run; end early when `cancelled` is set."""

    @abstractmethod
    def prepare(self, port: int) -> list[str]:
        """Make the data folder where there is none and the settings for this port; the answer is the command line."""

    @abstractmethod
    def answers(self, port: int) -> bool:
        """Ask the server on this port whether it is ready and is ours; False while it is not."""

    def clear_leftovers(self) -> None:  # noqa: B027 (most servers leave nothing in their own way)
        """Remove what a killed server has left that would keep it from starting again."""

    @property
    def port(self) -> int | None:
        """The port of the last start."""
        try:
            return int(self.port_file.read_text())
        except (OSError, ValueError):
            return None
