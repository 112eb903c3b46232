"""The broker is killed, stopped and paused while models answer: nothing acknowledged is lost, nothing shows twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from polylogue.infra.local.stack import LocalStack, environment
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.schemas.envelope import Command
from polylogue.schemas.events import ResponseCompleted, TextAppended
from tests.faults.walk import all_committed, all_ended, settings_of
from tests.support.log import PARTITIONS, Log, of_type, open_log
from tests.support.observer import faults_at_the_end, faults_between, observe
from tests.support.processes import Simulator, process, wait_until

MIB = 1024 * 1024
PAUSE_S = 25  # longer than a record may wait for its acknowledgement before the producer is replaced
LONG = "sim/slow:pace=20ms:tokens=400"
AT_ONCE = "sim/slow:pace=0ms:tokens=400"  # the same text
BRIEF = "sim/text:pace=2ms"
PAINTER = "sim/painter:pace=2ms:size=2mb"
# The longer variant is `make faults`. A stop in good order is the mildest of the three.
HOW = ["killed", "paused", *(["stopped"] if os.environ.get("POLYLOGUE_FAULTS") == "all" else [])]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker of its own, since it is killed."""
    stack = LocalStack(tmp_path_factory.mktemp("broker"), services=frozenset({"kafka"}))
    stack.up()
    try:
        yield stack
    finally:
        pid = _pid(stack)
        if pid is not None:
            os.kill(pid, signal.SIGCONT)
        stack.down()


@pytest.fixture
async def settings(broker: LocalStack, gateway: Simulator, tmp_path: Path) -> Settings:
    made = settings_of(environment(broker.endpoints()), gateway.base_url, tmp_path)
    await apply_topics(made, partitions=PARTITIONS)
    return made


def _pid(broker: LocalStack) -> int | None:
    return next((status.pid for status in broker.status() if status.name == "kafka"), None)


def _signal(broker: LocalStack, number: signal.Signals) -> None:
    pid = _pid(broker)
    assert pid is not None
    os.kill(pid, number)


async def _disturb(broker: LocalStack, how: str) -> None:
    if how == "paused":
        pid = _pid(broker)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(PAUSE_S)  # the fault itself
        os.kill(pid, signal.SIGCONT)
        return
    if how == "killed":
        _signal(broker, signal.SIGKILL)
    else:
        await asyncio.to_thread(broker.down)
    await asyncio.to_thread(broker.up)


async def _undisturbed(log: Log) -> Command:
    """A turn that completes. A runner that the silence has put out of its group joins again, and a turn in between is
    interrupted like any other."""
    for _ in range(3):
        turn = await log.start_turn(BRIEF, AT_ONCE)
        await all_ended(log, turn)
        if len(of_type(await log.visible(turn.conversation_id), ResponseCompleted)) == 2:
            return turn
    raise AssertionError("three turns in a row were interrupted after the broker was back")


@pytest.mark.parametrize("how", HOW)
async def test_the_answers_go_on_when_the_broker_was(
    how: str, broker: LocalStack, settings: Settings
) -> None:
    servers, prefix = str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix
    with process("runner", settings) as runner:
        async with open_log(settings) as log:
            quiet = await log.start_turn(BRIEF, LONG)
            turns = [await log.start_turn(LONG, BRIEF, PAINTER) for _ in range(4)]
            for turn in turns:
                await log.one_of(turn.conversation_id, TextAppended)
        before = await observe(servers, prefix)
        await _disturb(broker, how)
        async with open_log(settings) as log:
            await all_ended(log, quiet, *turns)
            last = await _undisturbed(log)
            turns.append(last)
            await all_ended(log, *turns)
            await all_committed(settings)
        after = await observe(servers, prefix)
        assert await asyncio.to_thread(runner.stop) == 0
    texts = {model: after.text(f"{last.turn_id}-{n}") for n, model in enumerate((BRIEF, LONG), 1)}
    assert [after.outcome(f"{last.turn_id}-{n}") for n in (1, 2)] == ["completed", "completed"]
    assert faults_between(before, after) == []
    assert faults_at_the_end(after, texts) == [], runner.text()[-4000:]
    # A broker that is back soon is not felt; one that was silent beyond the session has put the runner out.
    allowed = {"completed", "interrupted"} if how == "paused" else {"completed"}
    assert {after.outcome(name) for name in after.responses()} <= allowed


async def test_a_silent_broker_stops_the_reading_of_the_sockets(
    broker: LocalStack, settings: Settings, gateway: Simulator
) -> None:
    flood = "sim/slow:pace=0ms:tokens=200000"
    with process("runner", settings, TEXT_COALESCE_MS="0", RESPONSE_MAX_TEXT_KB="65536") as runner:
        async with open_log(settings) as log:
            turn = await log.start_turn(flood, flood)
            await log.one_of(turn.conversation_id, TextAppended)
        pid = _pid(broker)
        assert pid is not None
        aborted = gateway.stats()["aborted"]
        os.kill(pid, signal.SIGSTOP)
        try:
            sent = await _standstill(gateway, flood)
            resident = psutil.Process(runner.child.pid).memory_info().rss
        finally:
            os.kill(pid, signal.SIGCONT)
        async with open_log(settings) as log:
            # A runner that was put out meanwhile, on a slow machine, lets go of it instead.
            await asyncio.to_thread(
                wait_until,
                lambda: _sent(gateway, flood) > sent or gateway.stats()["aborted"] > aborted,
                "the flood goes on with the broker",
            )
            await log.cancel(turn)
            await all_ended(log, turn)
        after = await observe(str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix)
    assert sent < 2 * 150_000
    assert resident < 300 * MIB
    assert faults_at_the_end(after, {}) == []
    assert {after.outcome(name) for name in after.responses()} <= {"cancelled", "interrupted"}


def _sent(gateway: Simulator, model: str) -> int:
    generations = gateway.get("/sim/generations")["data"]
    return sum(generation["pieces"] for generation in generations if generation["model"] == model)


async def _standstill(gateway: Simulator, model: str) -> int:
    """How many pieces the gateway could send before it had to wait: unchanged for two seconds."""
    last, since = -1, time.monotonic()
    while time.monotonic() < since + 2:
        now = await asyncio.to_thread(_sent, gateway, model)
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.1)
    return last
