"""Few long lines grow at a time, and somebody always may."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.line_budget import MIB, LineBudget


async def test_an_answer_that_holds_little_never_waits() -> None:
    budget = LineBudget(2 * MIB)
    large, small = budget.line(), budget.line()
    large.holds(50 * MIB)
    small.holds(1000)
    assert not await small.room()


async def test_while_the_budget_is_spent_only_the_first_long_one_reads_on() -> None:
    budget = LineBudget(4 * MIB)
    first, second = budget.line(), budget.line()
    first.holds(2 * MIB)
    second.holds(2 * MIB)
    assert not await first.room()
    waiting = asyncio.create_task(second.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    first.holds(0)
    assert await waiting


async def test_one_that_is_cancelled_while_it_waits_holds_nobody_up() -> None:
    budget = LineBudget(MIB)
    first, second, third = budget.line(), budget.line(), budget.line()
    for line in (first, second, third):
        line.holds(2 * MIB)
    waiting = [asyncio.create_task(line.room()) for line in (second, third)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    second.holds(0)
    first.holds(0)
    assert await waiting[1]
    assert budget.held == 2 * MIB


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 64))
def test_every_line_is_read_to_its_end_and_the_bound_holds(sizes: list[int], budget_mib: int) -> None:
    budget = LineBudget(budget_mib * MIB)
    most = 0

    async def read(size: int) -> None:
        nonlocal most
        line = budget.line()
        for held in range(1, size + 1):
            await line.room()
            line.holds(held * MIB)
            most = max(most, budget.held)
            await asyncio.sleep(0)
        line.holds(0)

    async def all_of_them() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as reading:
            for size in sizes:
                reading.create_task(read(size))

    asyncio.run(all_of_them())
    # One piece each may be on its way when the budget is spent, and the first one may go on alone.
    assert most <= (budget_mib + max(sizes) + len(sizes)) * MIB
    assert budget.held == 0
