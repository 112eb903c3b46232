"""A bounded pool of processes that judge media: what a file is, whether it is whole, and its smaller versions.

A file that hangs, bombs or crashes its decoder costs one process, which is replaced, and ends as a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.validation_process import ProcessDiedError, ValidationProcess
from polylogue.media.verdicts import (
    CRASHED,
    TOO_COSTLY,
    Accepted,
    Answer,
    Fingerprint,
    Fingerprinted,
    Inspect,
    Limits,
    MadeRendition,
    Question,
    Refused,
    Render,
    Rendered,
)
from polylogue.schemas.base import MediaType

MOST_FILES = 1000  # a process is replaced after as many: decoders leak
MIB = 1024 * 1024
_LATE_S = 1.0  # a time-out that is noticed so late was a pause of ours, and not the file's
_ATTEMPTS = 2  # a process may have been ended for reasons that are not the file's either

_BY_LIMIT = frozenset({-signal.SIGXCPU, -signal.SIGALRM})

log = get_logger(__name__)


class ValidationPool:
    """Processes are started when they are first needed, or by `start`; `close` leaves none behind."""

    def __init__(self, limits: Limits, *, processes: int) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(processes)
        # A verdict, for which a reader waits, finds a process that no smaller version keeps busy, if there are two.
        self._render_slots = asyncio.Semaphore(max(1, processes - 1))
        self._processes = processes
        self._idle: list[ValidationProcess] = []
        self._all: set[ValidationProcess] = set()
        self._closed = False

    @classmethod
    def from_settings(cls, settings: Settings, *, processes: int | None = None) -> Self:
        limits = Limits(
            most_pixels=round(settings.media_max_megapixels * 1_000_000),
            most_frames=settings.media_max_frames,
            time_s=settings.media_validation_timeout_s,
            memory_bytes=settings.media_validation_memory_mb * MIB,
        )
        return cls(limits, processes=processes or settings.media_validation_processes)

    async def start(self) -> None:
        """Starts every process, so that the first file need not wait for it. Raises OSError."""
        missing = self._processes - len(self._all)
        self._idle.extend(await asyncio.gather(*(self._started() for _ in range(missing))))

    async def close(self) -> None:
        """What is under way is given up: its process dies, and whoever waits for it is refused a new one."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(self._ended(process) for process in tuple(self._all)))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def process_ids(self) -> frozenset[int]:
        return frozenset(process.pid for process in self._all)

    async def inspect(
        self, source: Path | BinaryIO, *, declared: str | None = None, media_type: MediaType | None = None
    ) -> Accepted | Refused:
        """What the file is, judged by its bytes; what was declared is noted and decides nothing.

        `source` is a path or an open file with a descriptor; its position stays where it is. Raises OSError where the
        file cannot be opened or no process can be started: neither says anything about the medium.
        """
        verdict = await self._ask(source, Inspect(declared=declared))
        match verdict:
            case Accepted():
                if not verdict.agrees or media_type not in {None, verdict.media_type}:
                    log.info("media_not_as_declared", sniffed=verdict.content_type, expected=media_type)
                return verdict
            case Refused():
                return verdict
            case _:
                return CRASHED

    async def renditions(self, source: Path | BinaryIO, facts: Accepted) -> list[MadeRendition]:
        """The smaller versions of an accepted file; those that cannot be made are missing. Raises OSError as above."""
        async with self._render_slots:
            answer = await self._ask(source, Render(facts=facts))
        return list(answer.renditions) if isinstance(answer, Rendered) else []

    async def fingerprint(self, source: Path | BinaryIO) -> str | None:
        """A hash of a still picture's pixels; None where there is none. Raises OSError as above."""
        answer = await self._ask(source, Fingerprint())
        return answer.sha256 if isinstance(answer, Fingerprinted) else None

    async def _ask(self, source: Path | BinaryIO, question: Question) -> Answer:
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(source, Path):
                file: BinaryIO = await asyncio.to_thread(source.open, "rb")
                stack.callback(file.close)
            else:
                file = source
            await stack.enter_async_context(self._slots)
            for _ in range(_ATTEMPTS):
                answer = await self._attempt(file.fileno(), question)
                if answer is not None:
                    return answer
            return CRASHED

    async def _attempt(self, descriptor: int, question: Question) -> Answer | None:
        """None where another attempt is worth its while."""
        process = self._idle.pop() if self._idle else await self._started()
        deadline = time.monotonic() + self._limits.time_s
        answered = False
        try:
            async with asyncio.timeout(self._limits.time_s):
                answer = await process.ask(question, descriptor)
            answered = True
            return answer
        except TimeoutError:
            log.warning("media_check_timed_out", question=type(question).__name__)
            return TOO_COSTLY if time.monotonic() - deadline < _LATE_S else None
        except ProcessDiedError:
            status = await process.died()
            log.warning("media_check_died", question=type(question).__name__, status=status)
            return TOO_COSTLY if status in _BY_LIMIT else None
        finally:
            if answered and not self._closed and process.files < MOST_FILES:
                self._idle.append(process)
            else:
                await asyncio.shield(self._ended(process))

    async def _started(self) -> ValidationProcess:
        if self._closed:
            raise OSError("the pool is closed")
        process = await ValidationProcess.start(self._limits)
        self._all.add(process)
        return process

    async def _ended(self, process: ValidationProcess) -> None:
        await process.end()
        self._all.discard(process)
