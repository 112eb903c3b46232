"""Reads thousands of event streams in one epoll thread, and says what came, how late, and what that cost it.

A process of its own: `python -m bench.sse_load --port P --connections N --paths FILE …` prints one JSON line. An event's
text holds the time at which it was sent as `at=<ns> ` and its number as `n=<number> `; both are read of the last event
of every read, and frames are counted by their ends, so that nothing is parsed of the others.
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READ_BYTES = 256 * 1024
AT_ONCE = 200  # connections on their way
_STAMP = re.compile(rb"at=(\d+) n=(\d+) ")
_ID = re.compile(rb"\nid: ([0-9a-zA-Z_.-]+)\n")


class Reader:
    """One connection."""

    __slots__ = ("last", "last_id", "lost", "number", "path", "slow", "socket", "tail", "twice")

    def __init__(self, number: int, path: str, *, slow: bool) -> None:
        self.number, self.path = number, path
        self.slow = slow  # asks, and never reads what follows the first answer
        self.socket: socket.socket | None = None
        self.last = 0
        self.last_id = ""
        self.lost = self.twice = 0
        self.tail = b""  # of an event that is not whole yet


class Load:
    def __init__(
        self, port: int, paths: Sequence[str], connections: int, *, exact: bool, slow: int = 0
    ) -> None:
        self._port, self._exact = port, exact
        self._poll = select.epoll()
        self.readers = [
            Reader(number, paths[number % len(paths)], slow=number >= connections)
            for number in range(connections + slow)
        ]
        self._by_descriptor: dict[int, Reader] = {}
        self.deliveries = 0
        self.bytes = 0
        self.latencies_ns: list[int] = []
        self.answered = 0
        self._buffer = bytearray(READ_BYTES)

    def connect(self, reader: Reader) -> None:
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if reader.slow:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        code = opened.connect_ex(("127.0.0.1", self._port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "cannot connect")
        reader.socket, reader.tail = opened, b""
        self._by_descriptor[opened.fileno()] = reader
        self._poll.register(opened.fileno(), select.EPOLLOUT)

    def drop(self, reader: Reader) -> None:
        assert reader.socket is not None
        self._poll.unregister(reader.socket.fileno())
        del self._by_descriptor[reader.socket.fileno()]
        reader.socket.close()
        reader.socket = None

    def turn(self, wait_s: float) -> None:
        for descriptor, what in self._poll.poll(wait_s):
            reader = self._by_descriptor[descriptor]
            if what & select.EPOLLOUT:
                self._ask(reader)
            else:
                self._read(reader)

    def connect_all(self, readers: Sequence[Reader], *, at_once: int = AT_ONCE) -> None:
        """Returns when every one has been answered."""
        waiting, wanted = list(reversed(readers)), self.answered + len(readers)
        asked = 0
        while self.answered < wanted:
            while waiting and asked - (self.answered - (wanted - len(readers))) < at_once:
                self.connect(waiting.pop())
                asked += 1
            self.turn(1)

    def _ask(self, reader: Reader) -> None:
        assert reader.socket is not None
        resume = f"Last-Event-ID: {reader.last_id}\r\n" if reader.last_id else ""
        head = f"GET {reader.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{resume}\r\n"
        reader.socket.send(head.encode())
        self._poll.modify(reader.socket.fileno(), select.EPOLLIN)

    def _read(self, reader: Reader) -> None:
        assert reader.socket is not None
        try:
            size = reader.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        if size == 0:
            raise OSError(f"the server closed connection {reader.number}: {reader.tail[:200]!r}")
        data = bytes(memoryview(self._buffer)[:size])
        now = time.time_ns()
        self.bytes += size
        if data.startswith(b"HTTP/1.1 "):
            if not data.startswith(b"HTTP/1.1 200"):
                raise OSError(f"the server refused: {data[:300]!r}")
            self.answered += 1
            if reader.slow:
                self._poll.unregister(reader.socket.fileno())
                return
        if self._exact:
            self._count_exactly(reader, data)
        else:
            self.deliveries += data.count(b"\nevent: chunk\n")
        at = data.rfind(b"at=")
        stamp = _STAMP.match(data, at) if at >= 0 else None
        if stamp is not None:
            self.latencies_ns.append(now - int(stamp[1]))

    def _count_exactly(self, reader: Reader, data: bytes) -> None:
        """Every number once and in order, and the id of the last whole event."""
        data = reader.tail + data
        whole = data.rfind(b"\n\n") + 2
        if whole < 2:
            reader.tail = data
            return
        reader.tail, data = data[whole - 1 :], data[:whole]
        for stamp in _STAMP.finditer(data):
            number = int(stamp[2])
            self.deliveries += 1
            if reader.last and number > reader.last + 1:
                reader.lost += number - reader.last - 1
            elif reader.last and number <= reader.last:
                reader.twice += 1
            reader.last = number
        ids = _ID.findall(data)
        if ids:
            reader.last_id = ids[-1].decode()


def measure(load: Load, seconds: float, pid: int) -> dict[str, Any]:
    """One window: what came, and what it cost the server and this process."""
    load.deliveries, load.bytes, load.latencies_ns = 0, 0, []
    server, mine, begun = cpu_s(pid), time.process_time(), time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 0:
        load.turn(min(left, 0.5))
    spent = time.monotonic() - begun
    ordered = sorted(load.latencies_ns) or [0]
    return {
        "deliveries": load.deliveries,
        "seconds": spent,
        "bytes": load.bytes,
        "server_cpu_s": cpu_s(pid) - server,
        "load_cpu_s": time.process_time() - mine,
        "p50_ms": ordered[len(ordered) // 2] / 1e6,
        "p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
    }


def storm(load: Load, pid: int) -> dict[str, Any]:
    """All drop at once, and are back with their last id; done when the last has an event that it had not.

    The server's CPU is of all that it does meanwhile: it lets go of those who dropped, and delivers to those who are back.
    """
    newest = max(reader.last for reader in load.readers)
    server = cpu_s(pid)
    for reader in load.readers:
        load.drop(reader)
    begun = time.monotonic()
    load.connect_all(load.readers, at_once=len(load.readers))
    behind = set(load.readers)
    while behind:
        load.turn(0.5)
        behind = {reader for reader in behind if reader.last <= newest}
        if time.monotonic() - begun > 30:
            break
    return {
        "caught_up_ms": (time.monotonic() - begun) * 1000,
        "server_cpu_s": cpu_s(pid) - server,
        "lost": sum(reader.lost for reader in load.readers) + len(behind),
        "twice": sum(reader.twice for reader in load.readers),
    }


def idle(load: Load, pid: int, first: int) -> dict[str, Any]:
    """What the server holds for each of the `first` readers, and for each of all that come after them.

    The former have with them what the process loads and keeps only once. One line is awaited on standard input after
    each `connected`, until it has settled.
    """
    held = [rss_kib(pid)]
    for readers in (load.readers[:first], load.readers[first:]):
        load.connect_all(readers)
        print("connected", flush=True)
        sys.stdin.readline()
        held.append(rss_kib(pid))
    empty, some, all_of_them = held
    return {
        "rss_kib_each": (some - empty) / first,
        "rss_kib_each_more": (all_of_them - some) / max(1, len(load.readers) - first),
    }


def cpu_s(pid: int) -> float:
    """User and system time of a process and of the workers that it has started."""
    total = 0.0
    for one in _family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(one for child in children for one in _family(int(child)))]


def rss_kib(pid: int) -> int:
    sizes = 0
    for one in _family(pid):
        text = Path(f"/proc/{one}/status").read_text()
        sizes += int(re.findall(r"VmRSS:\s+(\d+)", text)[0])
    return sizes


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.sse_load", description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--pid", type=int, required=True, help="of the server")
    arguments.add_argument("--paths", required=True, help="a file with one path a line")
    arguments.add_argument("--connections", type=int, required=True)
    arguments.add_argument(
        "--first", type=int, default=1000, help="of `idle`: how many come before the others"
    )
    arguments.add_argument("--slow", type=int, default=0, help="further ones that do not read")
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--warm", type=float, default=2, help="seconds of `tail` that are not counted")
    arguments.add_argument("--windows", type=int, default=1)
    arguments.add_argument("--what", choices=("tail", "idle", "storm"), default="tail")
    chosen = arguments.parse_args()
    paths = Path(chosen.paths).read_text().split()
    load = Load(chosen.port, paths, chosen.connections, exact=chosen.what == "storm", slow=chosen.slow)
    if chosen.what == "idle":
        print(json.dumps([idle(load, chosen.pid, chosen.first)]))
        return
    load.connect_all(load.readers)
    print("connected", flush=True)
    found: list[dict[str, Any]] = []
    if chosen.what == "storm":
        for _ in range(chosen.windows):
            measure(load, chosen.seconds, chosen.pid)
            found.append(storm(load, chosen.pid))
    else:
        measure(load, chosen.warm, chosen.pid)
        found = [measure(load, chosen.seconds, chosen.pid) for _ in range(chosen.windows)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
