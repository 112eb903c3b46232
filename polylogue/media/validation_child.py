"""A process of its own that decodes one file after another, so that a decoder that is attacked takes nothing else along.

Standard input is a socket: a question comes with the descriptor of one open file, the answer goes back the same way.
Memory, processor time and time by the clock have limits that the kernel enforces; when one is exceeded, or the
decoder crashes, the process is gone and whoever asked draws the conclusion. It ends when the other side does.
"""

from __future__ import annotations

import array
import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO, assert_never

import msgspec

from polylogue.media.isolation import isolate
from polylogue.media.verdicts import (
    BROKEN,
    LENGTH_BYTES,
    TOO_COSTLY,
    Accepted,
    Answer,
    Fingerprint,
    Fingerprinted,
    Inspect,
    Limits,
    Question,
    Refused,
    Render,
    Rendered,
)

_GRACE_S = 5  # the pool, which can say why, ends the process first
_CPU_SHARE = 1.5  # processor seconds per second: a decoder may use a second thread

_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


def main() -> int:
    limits = msgspec.json.decode(sys.argv[1], type=Limits)
    isolate()
    _warm_up()
    _limit_memory(limits)
    channel = socket.socket(fileno=0)
    channel.sendall(bytes(LENGTH_BYTES))  # ready
    while (asked := _receive(channel)) is not None:
        question, descriptor = asked
        _limit_time(limits)
        try:
            answer = _answer(question, descriptor, limits)
        finally:
            os.close(descriptor)
        signal.setitimer(signal.ITIMER_REAL, 0)
        body = msgspec.msgpack.encode(answer)
        channel.sendall(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    return 0


def _answer(question: Question, descriptor: int, limits: Limits) -> Answer:
    from polylogue.media.inspection import inspected
    from polylogue.media.pixels import fingerprint
    from polylogue.media.pread_file import buffered
    from polylogue.media.renditions import rendered

    file: BinaryIO = buffered(descriptor)
    try:
        match question:
            case Inspect(declared=declared):
                verdict = inspected(file, limits)
                return (
                    msgspec.structs.replace(verdict, declared=declared)
                    if isinstance(verdict, Accepted)
                    else verdict
                )
            case Render(facts=facts):
                return Rendered(renditions=tuple(rendered(file, facts, limits)))
            case Fingerprint():
                return Fingerprinted(sha256=fingerprint(file, limits))
            case _:
                assert_never(question)
    except MemoryError:
        return _nothing(question, TOO_COSTLY)
    except Exception:  # noqa: BLE001 (decoders raise anything, and any of it means the same)
        return _nothing(question, BROKEN)


def _nothing(question: Question, verdict: Refused) -> Answer:
    match question:
        case Inspect():
            return verdict
        case Render():
            return Rendered()
        case Fingerprint():
            return Fingerprinted()


def _receive(channel: socket.socket) -> tuple[Question, int] | None:
    """The next question and its file; None when nobody is left to ask."""
    room = socket.CMSG_SPACE(array.array("i").itemsize)
    head, ancillary, _, _ = channel.recvmsg(LENGTH_BYTES, room)
    if not head:
        return None
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: descriptors.itemsize])
    while len(head) < LENGTH_BYTES:
        head += _some(channel, LENGTH_BYTES - len(head))
    body, length = b"", int.from_bytes(head, "big")
    while len(body) < length:
        body += _some(channel, length - len(body))
    return _questions.decode(body), descriptors[0]


def _some(channel: socket.socket, most: int) -> bytes:
    data = channel.recv(most)
    if not data:
        sys.exit(0)  # the other side died in mid-question
    return data


def _warm_up() -> None:
    """Loads the decoders before the memory is limited, so that the limit is the file's alone."""
    import av
    from PIL import Image

    import polylogue.media.inspection
    import polylogue.media.pixels
    import polylogue.media.renditions  # noqa: F401

    av.logging.set_level(None)
    Image.init()


def _limit_memory(limits: Limits) -> None:
    used = 0
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    most = used + limits.memory_bytes
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and does not take it
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time(limits: Limits) -> None:
    """SIGXCPU and SIGALRM end the process: no Python code has to run for it, which a decoder would hold up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    allowed = usage.ru_utime + usage.ru_stime + limits.time_s * _CPU_SHARE
    resource.setrlimit(resource.RLIMIT_CPU, (int(allowed) + 1, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.time_s + _GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
