"""Processes are kept running, given up on, and stopped, with children that are no processes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from polylogue.cli.supervisor import DEATHS_WITHIN_S, Deaths, Program, Supervisor


class FakeChild:
    """Ends when it is told to; `stubborn` hears no SIGTERM."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.signals: list[str] = []
        self._stubborn = stubborn
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        self.signals.append("TERM")
        if not self._stubborn:
            self.end(0)

    def kill(self) -> None:
        self.signals.append("KILL")
        self.end(-9)

    def end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)


class World:
    """A clock that stands still unless somebody sleeps, and the children that were started."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.slept: list[float] = []
        self.children: dict[str, list[FakeChild]] = defaultdict(list)
        self._stubborn = stubborn
        self._started = asyncio.Condition()
        self.supervisor = Supervisor(self._spawn, self.said.append, clock=lambda: self.now, sleep=self._sleep)

    async def _spawn(self, program: Program) -> FakeChild:
        async with self._started:
            child = FakeChild(stubborn=self._stubborn)
            self.children[program.name].append(child)
            self._started.notify_all()
        return child

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def child(self, name: str, number: int) -> FakeChild:
        """Waits for the start of a name's n-th child, counted from 1."""
        async with self._started:
            await self._started.wait_for(lambda: len(self.children[name]) >= number)
        return self.children[name][number - 1]


def program(name: str = "runner", patience_s: float = 5.0) -> Program:
    return Program(name, (name,), Path(f"/logs/{name}.log"), patience_s)


async def test_a_dead_child_is_started_again_after_a_pause_and_a_line_says_so() -> None:
    world = World()
    world.supervisor.keep(program())
    (await world.child("runner", 1)).end(-9)
    await world.child("runner", 2)
    assert world.slept == [0.5]
    assert world.said == [
        "runner ended unexpectedly (by SIGKILL); starting it again in 0.5 s, see /logs/runner.log"
    ]
    await world.supervisor.stop("runner")


async def test_three_deaths_in_a_minute_are_given_up_on_with_the_log_named() -> None:
    world = World()
    world.supervisor.keep(program())
    for number in (1, 2, 3):
        (await world.child("runner", number)).end(2)
    sentence = await world.supervisor.gave_up
    assert sentence == "runner ended 3 times within 60 s (the last time exit code 2); see /logs/runner.log."
    await world.supervisor.stop("runner")


async def test_a_child_that_is_stopped_is_not_started_again() -> None:
    world = World()
    world.supervisor.keep(program())
    child = await world.child("runner", 1)
    await world.supervisor.stop("runner")
    assert child.signals == ["TERM"]
    assert len(world.children["runner"]) == 1
    assert world.said == []


async def test_a_child_that_does_not_stop_is_killed_with_a_line() -> None:
    world = World(stubborn=True)
    world.supervisor.keep(program(patience_s=0.01))
    child = await world.child("runner", 1)
    await world.supervisor.stop("runner")
    assert child.signals == ["TERM", "KILL"]
    assert world.said == ["runner did not stop within 0 s and was killed"]


async def test_stopping_what_was_never_kept_or_has_been_given_up_is_no_error() -> None:
    world = World()
    await world.supervisor.stop("simulator")
    world.supervisor.keep(program())
    for number in (1, 2, 3):
        (await world.child("runner", number)).end(1)
    await world.supervisor.gave_up
    await world.supervisor.stop("runner")


async def test_killing_all_ends_children_that_hear_no_signal() -> None:
    world = World(stubborn=True)
    world.supervisor.keep(program())
    await world.child("runner", 1)
    stopping = asyncio.create_task(world.supervisor.stop("runner"))
    await asyncio.sleep(0)
    world.supervisor.kill_all()
    await asyncio.wait_for(stopping, 1)


@pytest.mark.parametrize(
    ("times", "waits"),
    [
        ([0.0, 1.0, 2.0], [0.5, 1.0, None]),
        ([0.0, 1.0, DEATHS_WITHIN_S + 2], [0.5, 1.0, 0.5]),
        ([0.0, 50.0, 100.0], [0.5, 1.0, 1.0]),
    ],
)
def test_only_deaths_of_the_last_minute_count(times: list[float], waits: list[float | None]) -> None:
    note: Callable[[float], float | None] = Deaths().note
    assert [note(at_s) for at_s in times] == waits
