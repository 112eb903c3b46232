"""A transport over one end of a socket pair, and the frames that came out of the other."""

from __future__ import annotations

import socket
from typing import Any

from tests.support.hub import parsed


class Socket:
    """A transport over a real socket, whose other end is read here."""

    def __init__(self) -> None:
        self.mine, self.theirs = socket.socketpair()
        for end in (self.mine, self.theirs):
            end.setblocking(False)
        self.closed = False
        self.connections: set[Any] = set()

    def hand_over(self, _heir: Any) -> Socket:
        return self

    def get_extra_info(self, _name: str) -> socket.socket:
        return self.mine

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.mine.sendall(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def read(self) -> list[dict[str, Any]]:
        """The frames that were written, out of the chunks of HTTP."""
        data = b""
        try:
            while piece := self.theirs.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        frames: list[dict[str, Any]] = []
        while data:
            size, data = data.split(b"\r\n", 1)
            length = int(size, 16)
            frames += parsed(data[:length]) if length else []
            data = data[length + 2 :]
        return frames

    def release(self) -> None:
        self.mine.close()
        self.theirs.close()
