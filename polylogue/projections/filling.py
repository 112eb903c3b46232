"""Fills a version's tables from the log with several processes, each with partitions of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from polylogue.projections.builders import TakenOverError
from polylogue.projections.checkpoints import CheckpointRefusedError
from polylogue.projections.filling_worker import Filling, FillingStoppedError, fill, run
from polylogue.projections.log_heads import LogHead

LOOK_EVERY_S = 0.2
STOP_WITHIN_S = 5.0

_ERRORS: dict[str, type[Exception]] = {
    one.__name__: one for one in (FillingStoppedError, TakenOverError, CheckpointRefusedError)
}


@dataclass
class _Worker:
    process: SpawnProcess
    answer: Connection


async def fill_with(filling: Filling, workers: int) -> AsyncGenerator[None, None]:
    """Yields now and then until every part is filled. Raises what the first worker that must stop says.

    Closing the iterator stops the workers; what is committed stays and is gone on from. None of `workers` is this
    process, unless there are none: that is for little to do.
    """
    if workers == 0:
        await fill(filling)
        return
    shares = _shares(filling.parts, workers)
    started: list[_Worker] = []
    try:
        started.extend(_start(replace(filling, parts=parts)) for parts in shares)
        while any(one.process.is_alive() for one in started):
            for one in started:
                _raise_what_it_says(one)
            yield
            await asyncio.sleep(LOOK_EVERY_S)
        for one in started:
            _raise_what_it_says(one)
            if one.process.exitcode:
                raise FillingStoppedError(
                    f"A process of the rebuild ended with status {one.process.exitcode}; start it again to go on."
                )
    finally:
        for one in started:
            await asyncio.to_thread(_end, one)


def _shares(parts: Iterable[tuple[LogHead, int]], workers: int) -> list[tuple[tuple[LogHead, int], ...]]:
    """The largest partitions first, each to whoever has least to do."""
    shares: list[list[tuple[LogHead, int]]] = [[] for _ in range(workers)]
    for part in sorted(parts, key=lambda part: part[1], reverse=True):
        min(shares, key=lambda share: sum(until for _, until in share)).append(part)
    return [tuple(share) for share in shares if share]


def _start(filling: Filling) -> _Worker:
    # Spawned, not forked: this process has an event loop, connections and threads.
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(filling, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _raise_what_it_says(worker: _Worker) -> None:
    try:
        said = worker.answer.recv() if worker.answer.poll() else None
    except EOFError:
        return  # it has ended; its status says how
    if said is not None:
        raise _ERRORS[said[0]](said[1])


def _end(worker: _Worker) -> None:
    if worker.process.is_alive():
        worker.process.terminate()
        worker.process.join(STOP_WITHIN_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.answer.close()
    worker.process.close()
