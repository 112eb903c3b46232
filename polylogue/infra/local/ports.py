"""Chooses a TCP port on the loopback address that nobody listens on."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable

HOST = "127.0.0.1"
# Below the range from which Linux and macOS take the ports of outgoing connections, so that a port that
# a data dir remembers is not lost to one of those by the next start.
SPARE_PORTS = range(20_000, 30_000)
SPARE_ATTEMPTS = 200
RELEASE_WITHIN_S = 5.0  # a killed server holds its port until its memory is torn down
ASK_EVERY_S = 0.05


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do: TIME_WAIT is no listener
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def becomes_free(port: int, *, within_s: float = RELEASE_WITHIN_S) -> bool:
    """Waits for a port that may just be given up."""
    deadline = time.monotonic() + within_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(ASK_EVERY_S)
    return True


def choose(preferred: Iterable[int], *, taken: frozenset[int] = frozenset()) -> int:
    """The first preferred port that is free, otherwise a spare one."""
    for port in preferred:
        if port not in taken and is_free(port):
            return port
    for port in random.sample(SPARE_PORTS, SPARE_ATTEMPTS):
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1")
