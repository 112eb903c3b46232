"""Several runners under load: killed, joining, leaving, paused beyond their session. Every response ends exactly once."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Callable

import pytest

from polylogue.infra.kafka import partition_for
from polylogue.infra.settings import Settings
from polylogue.schemas.envelope import Command
from polylogue.schemas.events import TextAppended
from tests.faults.walk import all_committed, all_ended, neighbour
from tests.support.log import PARTITIONS, Log, of_type
from tests.support.observer import Observation, faults_at_the_end, faults_between, observe
from tests.support.processes import process, wait_until

WITHIN_S = 30  # from a runner's death to the end, or the next attempt, of all that it was doing


async def now(settings: Settings) -> Observation:
    return await observe(str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix)


async def speaking(log: Log, turn: Command, *, responses: int) -> None:
    """Waits until so many responses of the turn have shown text."""
    await log.wait_for(
        turn.conversation_id,
        lambda seen: len({event.response_id for event in of_type(seen, TextAppended)}) >= responses,
        f"text of {responses} responses",
    )


async def until(settings: Settings, condition: Callable[[Observation], bool], what: str) -> Observation:
    """The log as soon as it fulfils the condition."""
    deadline = time.monotonic() + WITHIN_S
    while not condition(seen := await now(settings)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WITHIN_S} s: {what}")
        await asyncio.sleep(0.1)
    return seen


async def test_a_kill_in_the_middle_of_many_responses_leaves_none_without_an_end(
    runner_settings: Settings, log: Log
) -> None:
    slow, silent = "sim/slow:pace=100ms:tokens=3000", "sim/text:delay=60s"
    with process("runner", runner_settings) as dying:
        turns = [await log.start_turn(*[slow] * 12)]
        turns += [await log.start_turn(slow, silent) for _ in range(3)]
        for turn in turns:
            await speaking(log, turn, responses=12 if turn is turns[0] else 1)
        await until(
            runner_settings, lambda seen: all(map(seen.started, seen.responses())), "every response starts"
        )
        dying.kill()
        before = await now(runner_settings)
    with process("runner", runner_settings):
        # `until` gives it the 30 seconds that are promised.
        taken = await until(
            runner_settings,
            lambda seen: all(seen.end(name) or seen.started(name) > 1 for name in seen.responses()),
            "each response has ended or begun again",
        )
        for turn in turns:
            await log.cancel(turn)
        await all_ended(log, *turns)
        after = await now(runner_settings)
    spoke = [name for name in before.responses() if before.text(name)]
    assert len(spoke) == 15
    assert {taken.outcome(name) for name in spoke} == {"interrupted"}
    assert {after.outcome(name) for name in set(before.responses()) - set(spoke)} == {"cancelled"}
    assert faults_between(before, after) == []
    assert faults_at_the_end(after, {}) == []


async def test_runners_that_join_leave_and_die_under_load_end_every_response_once(
    runner_settings: Settings, log: Log
) -> None:
    brief, long = "sim/text:pace=2ms", "sim/slow:pace=20ms:tokens=150"
    turns: list[Command] = []

    async def load() -> None:
        for _ in itertools.count():
            turns.append(await log.start_turn(brief, long, "sim/painter:pace=2ms"))
            await asyncio.sleep(0.25)  # the load itself: four turns a second

    async def taken_over(count: int) -> None:
        """Some turn that was sent after this moment has ended: all partitions are not needed, the group works."""
        turn = await log.start_turn(brief)
        turns.append(turn)
        await all_ended(log, turn)
        await until(runner_settings, lambda seen: len(seen.events) > count, "the log grows")

    with process("runner", runner_settings) as first:
        await taken_over(0)
        sending = asyncio.create_task(load())
        with process("runner", runner_settings) as second, process("runner", runner_settings) as third:
            for joined in (second, third):
                await asyncio.to_thread(
                    wait_until, lambda joined=joined: "partition_taken_over" in joined.text(), "it joins"
                )
            first.kill()
            with process("runner", runner_settings) as fourth:
                await asyncio.to_thread(
                    wait_until, lambda: "partition_taken_over" in fourth.text(), "it joins"
                )
                assert await asyncio.to_thread(second.stop) == 0
                await taken_over(0)
                sending.cancel()
                await all_ended(log, *turns)
                await all_committed(runner_settings)
    after = await now(runner_settings)
    whole = {model: text for model in (brief, long) for text in [_longest(after, turns, model)]}
    assert faults_at_the_end(after, whole) == []
    outcomes = [after.outcome(name) for name in after.responses()]
    assert set(outcomes) <= {"completed", "interrupted"}
    assert outcomes.count("completed") > len(outcomes) / 2


def _longest(seen: Observation, turns: list[Command], model: str) -> str:
    """What the model says when nobody disturbs it: the prompts are all the same."""
    texts = [
        seen.text(slot["response_id"])
        for _, _, command in seen.commands
        for slot in command["data"]["responses"]
        if slot["model"] == model and seen.outcome(slot["response_id"]) == "completed"
    ]
    assert len(texts) > len(turns) / 4
    return max(texts, key=len)


@pytest.mark.parametrize("transaction", ["open", "committed"])
async def test_a_paused_runner_is_fenced_where_both_would_write(
    runner_settings: Settings, log: Log, transaction: str
) -> None:
    with process("runner", runner_settings) as zombie:
        turn = await log.start_turn("sim/text:delay=4s:pace=1ms")
        place = partition_for(turn.conversation_id, PARTITIONS)
        name = f"{turn.turn_id}-1"
        if transaction == "open":  # kept so by another conversation of the same partition
            busy = await log.start_turn("sim/slow:pace=100ms:tokens=3000", conversation=neighbour(turn))
            await speaking(log, busy, responses=1)
        else:
            await until(
                runner_settings, lambda seen: seen.started(name) == 1 and place in seen.closed, "the commit"
            )
        zombie.signal(signal.SIGSTOP)
        paused = await now(runner_settings)
        assert (place in paused.closed) == (transaction == "committed")
        assert paused.started(name) == 1
        assert not paused.text(name)
        with process("runner", runner_settings):
            await until(runner_settings, lambda seen: seen.started(name) == 2, "the successor begins again")
            zombie.signal(signal.SIGCONT)  # its model has answered meanwhile; it writes at once
            await asyncio.to_thread(
                wait_until, lambda: "partition_lost" in zombie.text(), "the zombie notices"
            )
            if transaction == "open":
                await all_ended(log, busy)
            await all_ended(log, turn)
            after = await now(runner_settings)
    assert after.outcome(name) == "completed"
    assert faults_at_the_end(after, {}) == []
    attempts = [event["attempt"] for event in after.events if event.get("response_id") == name]
    assert attempts == sorted(attempts)  # also in the raw log: the broker took nothing from the zombie


async def test_a_partition_that_comes_back_to_a_runner_that_lost_it_unnoticed_is_taken_over_anew(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as paused:
        turn = await log.start_turn("sim/slow:pace=20ms:tokens=5000", "sim/text:delay=60s")
        await speaking(log, turn, responses=1)
        paused.signal(signal.SIGSTOP)
        with process("runner", runner_settings) as meanwhile:
            await all_interrupted(runner_settings, f"{turn.turn_id}-1")
            second = await log.start_turn("sim/slow:pace=20ms:tokens=5000", conversation=neighbour(turn))
            await speaking(log, second, responses=1)
            before = await now(runner_settings)
            meanwhile.kill()
        paused.signal(signal.SIGCONT)
        await all_interrupted(runner_settings, f"{second.turn_id}-1")
        await log.cancel(turn)
        third = await log.start_turn("sim/text", conversation=neighbour(turn))
        await all_ended(log, turn, third)
        await all_committed(runner_settings)
        after = await now(runner_settings)
        assert await asyncio.to_thread(paused.stop) == 0
    assert after.outcome(f"{turn.turn_id}-2") == "cancelled"
    assert after.outcome(f"{third.turn_id}-1") == "completed"
    assert faults_between(before, after) == []
    assert faults_at_the_end(after, {}) == []


async def all_interrupted(settings: Settings, *names: str) -> None:
    await until(
        settings,
        lambda seen: all(seen.outcome(name) == "interrupted" for name in names),
        "they are interrupted",
    )
