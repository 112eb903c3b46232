"""One process of the pool, as its parent sees it: a question and an open file go in, one answer comes out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import Self

import msgspec

import polylogue
from polylogue.media.verdicts import LENGTH_BYTES, Answer, Limits, Question

_READY_S = 60.0  # a second on an idle machine
KEPT_BYTES = 32 * 1024 * 1024  # of memory that was freed, by each process
_MODULE = "polylogue.media.validation_child"
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


class ProcessDiedError(Exception):
    """The process was gone before it had answered."""


class ValidationProcess:
    def __init__(self, process: Process, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self.files = 0  # that it has looked at
        self._asked = False

    @classmethod
    async def start(cls, limits: Limits) -> Self:
        """Returns when it has loaded its decoders: that is no file's time. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-s",
                    "-P",
                    "-m",
                    _MODULE,
                    msgspec.json.encode(limits).decode(),
                    stdin=theirs.fileno(),
                    stdout=DEVNULL,
                    stderr=DEVNULL,  # decoders quote the file they stumble over
                    env=_environment(),
                    cwd="/",
                )
        except BaseException:
            ours.close()
            raise
        child = cls(process, ours)
        try:
            async with asyncio.timeout(_READY_S):
                await child._receive(LENGTH_BYTES)
        except BaseException as error:
            await asyncio.shield(child.end())
            if isinstance(error, OSError | TimeoutError):
                raise OSError("a process that checks media could not be started") from None
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, question: Question, descriptor: int) -> Answer:
        """Raises ProcessDiedError. One question at a time."""
        self.files += 1
        self._asked = True
        body = msgspec.msgpack.encode(question)
        try:
            # Some hundred bytes, into a socket from which everything before has been read: this never blocks.
            socket.send_fds(self._channel, [len(body).to_bytes(LENGTH_BYTES, "big") + body], [descriptor])
            length = int.from_bytes(await self._receive(LENGTH_BYTES), "big")
            return _answers.decode(await self._receive(length))
        except (OSError, msgspec.DecodeError) as error:
            raise ProcessDiedError(type(error).__name__) from None
        finally:
            self._asked = False
            if self._process.returncode is not None:
                self._channel.close()

    async def end(self) -> int:
        """Ends it, whatever it does, and returns its status: a signal's number, negative, where one ended it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return await self.died()

    async def died(self) -> int:
        """The status of a process that hangs up by itself."""
        status = await self._process.wait()
        if not self._asked:
            # Closed under whoever reads from it, it would never wake them.
            self._channel.close()
        return status

    async def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        loop = asyncio.get_running_loop()
        while view:
            done = await loop.sock_recv_into(self._channel, view)
            if not done:
                raise ConnectionResetError
            view = view[done:]
        return data


def _environment() -> dict[str, str]:
    """Nothing of ours but where the code lies: a decoder that is taken over finds no secret in it."""
    source = str(Path(polylogue.__file__).parent.parent)
    return {
        "PYTHONPATH": source,
        "PYTHONDONTWRITEBYTECODE": "1",
        # Threads of a decoder would each reserve address space of their own.
        "MALLOC_ARENA_MAX": "2",
        # What one file has freed the next one takes: to get the pages from the kernel each time took half of the
        # processor time of looking at a picture of 10 MB.
        "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
        "MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES // 2),
        "LANG": "C.UTF-8",
    }
