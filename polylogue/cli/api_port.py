"""Chooses the API's port and holds it: the API listens only when the servers behind it are up, seconds later."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polylogue.cli.problems import Problem


@contextmanager
def held(host: str, wanted: int, *, asked: bool, say: Callable[[str], None]) -> Iterator[int]:
    """The wanted port, or a free one where that is taken and nobody asked for it. Raises Problem where somebody did."""
    sign = _sign(host, wanted) if is_free(host, wanted) else None
    if sign is None and asked:
        raise Problem(f"Port {wanted} is taken; name another with --port.")
    port = wanted
    while sign is None:
        port = _any_free(host)
        sign = _sign(host, port)
    with sign:
        if port != wanted:
            say(f"Port {wanted} is taken; using {port}.")
        yield port


def is_free(host: str, port: int) -> bool:
    """Whether the API could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return port != 0


def _any_free(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _sign(host: str, port: int) -> socket.socket | None:
    """Ours while it is open. None where another `run` is to listen on this port.

    The UDP port of the same number: it has one owner, whom it leaves however he ends, and the API listens beside it.
    """
    sign = socket.socket(type=socket.SOCK_DGRAM)
    try:
        sign.bind((host, port))
    except OSError:
        sign.close()
        return None
    return sign
