"""Postgres is killed, restarted and paused under a live projector and a rebuild: nothing is lost, nothing is repeated."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from polylogue.infra.local.stack import LocalStack, environment
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.projections import operations
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.migrate import upgrade
from tests.support.events import interleave, produce_events, sample_story
from tests.support.processes import process
from tests.support.projections import MessagesV2
from tests.support.tables import PARTITIONS, projector

pytestmark = pytest.mark.stack

PAUSE_S = 3.0
HOW = ("killed", "restarted", "paused")


@pytest.fixture(scope="module")
def database() -> Iterator[LocalStack]:
    """A server of its own, since it is killed. Not below pytest's folder, which is closed to the server's user."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="polylogue-test-", ignore_cleanup_errors=True) as directory:
        stack = LocalStack(Path(directory), services=frozenset({"postgres"}))
        stack.up()
        try:
            yield stack
        finally:
            stack.down()


@pytest.fixture
async def troubled(settings: Settings, database: LocalStack) -> Settings:
    url = environment(database.endpoints())["DATABASE_URL"]
    made = Settings(**(settings.model_dump() | {"database_url": url}))
    await apply_topics(made, partitions=PARTITIONS)
    await asyncio.to_thread(upgrade, made)
    return made


def _processes(database: LocalStack) -> list[psutil.Process]:
    pid = next(status.pid for status in database.status() if status.name == "postgres")
    assert pid is not None
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for one in processes:
        with suppress(psutil.NoSuchProcess):  # a session of Postgres' may be over by now
            one.send_signal(number)


async def _trouble(database: LocalStack, how: str) -> None:
    match how:
        case "killed":
            _send(_processes(database), signal.SIGKILL)
            await asyncio.to_thread(database.up)
        case "restarted":
            await asyncio.to_thread(database.down)
            await asyncio.to_thread(database.up)
        case _:
            stopped = _processes(database)
            _send(stopped, signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
            _send(stopped, signal.SIGCONT)


@pytest.mark.parametrize("how", HOW)
async def test_a_live_projector_waits_and_goes_on(troubled: Settings, database: LocalStack, how: str) -> None:
    events = interleave(*(sample_story() for _ in range(4)))
    half = len(events) // 2
    async with projector(troubled):
        await produce_events(troubled, events[:half])
        await operations.wait_for_lag(troubled, timeout_s=60)
        trouble = asyncio.create_task(_trouble(database, how))
        for start in range(half, len(events), 10):
            await produce_events(troubled, events[start : start + 10])
        await trouble
        await operations.wait_for_lag(troubled, timeout_s=90)
    for one in PROJECTIONS:
        verified = await operations.verify(troubled, one.name, workers=0)
        assert verified.equal, verified.differences


@pytest.mark.parametrize("how", HOW)
async def test_a_rebuild_waits_and_goes_on(troubled: Settings, database: LocalStack, how: str) -> None:
    await produce_events(troubled, interleave(*(sample_story() for _ in range(8))))
    with process("rebuild", troubled) as running:
        async with asyncio.timeout(60):
            while "applied=" not in running.text():
                await asyncio.sleep(0.01)
        await _trouble(database, how)
        assert await asyncio.to_thread(running.child.wait, 90) == 0
    verified = await operations.verify(
        troubled, MessagesV2.name, version=2, workers=0, projection=MessagesV2()
    )
    assert verified.equal, verified.differences
    assert verified.rows["conversation_messages"] > 0
