"""Slots are never more than allowed, never lost, and go round between conversations."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.streams.capacity import Capacity


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Worker:
    """Holds a slot until told to let go."""

    def __init__(self, capacity: Capacity, conversation: str, served: list[str]) -> None:
        self.places: list[int] = []
        self.holds = False
        self.let_go = asyncio.Event()
        self.task = asyncio.create_task(self._work(capacity, conversation, served))

    async def _work(self, capacity: Capacity, conversation: str, served: list[str]) -> None:
        async with capacity.slot(conversation, self.places.append):
            served.append(conversation)
            self.holds = True
            await self.let_go.wait()


async def test_a_conversation_with_many_models_does_not_hold_up_the_others() -> None:
    capacity, served = Capacity(1), list[str]()
    workers = [Worker(capacity, name, served) for name in ["a", "a", "a", "b", "c", "b"]]
    await settle()
    while holding := [worker for worker in workers if worker.holds and not worker.let_go.is_set()]:
        (holder,) = holding
        holder.let_go.set()
        await settle()
    assert served == ["a", "a", "b", "c", "a", "b"]


async def test_a_place_in_the_queue_counts_who_is_served_before() -> None:
    capacity, served = Capacity(1), list[str]()
    workers = [Worker(capacity, name, served) for name in ["a", "a", "a", "b"]]
    await settle()
    assert [worker.places for worker in workers] == [[], [1], [2], [2]]
    for worker in workers:
        worker.task.cancel()
    await asyncio.gather(*(worker.task for worker in workers), return_exceptions=True)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["finish", "cancel", "wait"])), max_size=25),
)
@settings(max_examples=80)
def test_no_slot_is_lost_or_given_twice(slots: int, script: list[tuple[str, str]]) -> None:
    async def run() -> None:
        capacity, active, most = Capacity(slots), 0, 0

        async def work(conversation: str, let_go: asyncio.Event) -> None:
            nonlocal active, most
            async with capacity.slot(conversation, lambda _: None):
                active += 1
                most = max(most, active)
                try:
                    await let_go.wait()
                finally:
                    active -= 1

        tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for conversation, step in script:
            if step == "wait" or not tasks:
                let_go = asyncio.Event()
                tasks.append((asyncio.create_task(work(conversation, let_go)), let_go))
            elif step == "finish":
                tasks[0][1].set()
            else:
                tasks.pop()[0].cancel()
            await settle()
        for _, let_go in tasks:
            let_go.set()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        await settle()
        assert most <= slots
        assert active == 0
        assert capacity.queued == 0
        for _ in range(slots):
            await asyncio.wait_for(capacity.slot("z", lambda _: None).__aenter__(), 1)

    asyncio.run(run())
