"""Counts and remembers what the simulator was asked and what it sent, so that tests can compare."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from polylogue.simulator.media import Sent

REMEMBERED = 200

State = Literal["running", "finished", "failed", "aborted"]


@dataclass(kw_only=True)
class Generation:
    id: str
    model: str
    prompt_sha256: str
    stream: bool
    state: State = "running"
    pieces: int = 0  # chunks written so far
    media: list[Sent] = field(default_factory=list)


class Generations:
    """`failed` is an answer that ends with an error on purpose; `aborted` one that the client did not wait for."""

    def __init__(self) -> None:
        self._recent: deque[Generation] = deque(maxlen=REMEMBERED)
        self._counts = {"started": 0, "finished": 0, "failed": 0, "aborted": 0, "refused": 0}
        self._jobs = {"jobs_ordered": 0, "job_polls": 0}

    def start(self, generation_id: str, model: str, prompt: str, *, stream: bool) -> Generation:
        generation = Generation(
            id=generation_id,
            model=model,
            prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
            stream=stream,
        )
        self._recent.append(generation)
        self._counts["started"] += 1
        return generation

    def end(self, generation: Generation, state: Literal["finished", "failed", "aborted"]) -> None:
        """Only the first outcome counts."""
        if generation.state == "running":
            generation.state = state
            self._counts[state] += 1

    def refuse(self) -> None:
        """A request that got an HTTP error instead of a generation."""
        self._counts["refused"] += 1

    def order_job(self) -> int:
        """Its number, from 1."""
        self._jobs["jobs_ordered"] += 1
        return self._jobs["jobs_ordered"]

    def poll_job(self) -> None:
        self._jobs["job_polls"] += 1

    def stats(self) -> dict[str, int]:
        ended = self._counts["finished"] + self._counts["failed"] + self._counts["aborted"]
        return {**self._counts, **self._jobs, "running": self._counts["started"] - ended}

    def recent(self) -> list[dict[str, Any]]:
        """The latest first."""
        return [asdict(generation) for generation in reversed(self._recent)]
