"""What is done to a rebuild: killed anywhere, stopped in a COPY, begun twice; it goes on where it was."""

from __future__ import annotations

import asyncio
import signal
import time

import psutil
import pytest

from polylogue.infra.crash_points import VARIABLE
from polylogue.infra.settings import Settings
from polylogue.projections import operations
from tests.support.events import interleave, produce_events, sample_story
from tests.support.processes import process
from tests.support.projections import MessagesV2
from tests.support.rebuild_process import STALL, WORKERS
from tests.support.tables import query, until

pytestmark = pytest.mark.stack

NAME = MessagesV2.name
WITHIN_S = 10.0  # what a copy that stands still may cost


async def _gone_on(settings: Settings) -> None:
    async for _ in operations.rebuild(settings, NAME, projection=MessagesV2(), workers=0):
        pass
    verified = await operations.verify(settings, NAME, version=2, workers=0, projection=MessagesV2())
    assert verified.equal, verified.differences
    assert verified.rows["conversation_messages"] > 0


def _applied(settings: Settings) -> int:
    rows = query(
        settings, "SELECT coalesce(sum(next_offset), 0) AS n FROM projection_checkpoints WHERE version = 2"
    )
    return int(rows[0]["n"])


@pytest.mark.parametrize(
    "point", ["rebuild.chunk_read:3", "projection.rows_written:2", "rebuild.chunk_committed:3"]
)
async def test_killed_anywhere_it_goes_on_where_it_was(prepared: Settings, point: str) -> None:
    await produce_events(prepared, interleave(*(sample_story() for _ in range(4))))
    with process("rebuild", prepared, **{VARIABLE: point}) as doomed:
        await until(lambda: doomed.child.poll() is not None, timeout_s=60)
    assert doomed.child.returncode == -signal.SIGKILL
    before = _applied(prepared)
    assert before > 0

    await _gone_on(prepared)

    assert _applied(prepared) > before


async def test_one_that_stands_still_in_a_copy_holds_its_successor_up_no_longer_than_it_may(
    prepared: Settings,
) -> None:
    await produce_events(prepared, sample_story().events)
    with process("rebuild", prepared, **{STALL: "yes"}) as stalled:
        await until(
            lambda: (
                query(
                    prepared,
                    "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY stall%%'"
                    " AND state = 'active' AND pid IN (SELECT pid FROM projection_builders)",
                )
                and psutil.Process(stalled.child.pid).status() == psutil.STATUS_STOPPED
            ),
            timeout_s=60,
        )
        began = time.monotonic()
        async for _ in operations.rebuild(prepared, NAME, projection=MessagesV2(), workers=0):
            pass
        took_s = time.monotonic() - began
        stalled.signal(signal.SIGCONT)
        await until(lambda: stalled.child.poll() is not None, timeout_s=60)

    assert took_s < WITHIN_S
    # It knows what has become of it, and writes nothing more.
    assert "TakenOverError Another rebuild of conversation_messages v2" in stalled.text()
    assert (await operations.verify(prepared, NAME, version=2, workers=0, projection=MessagesV2())).equal


async def test_the_processes_of_a_killed_rebuild_end_by_themselves(prepared: Settings) -> None:
    await produce_events(prepared, interleave(*(sample_story() for _ in range(4))))
    with process("rebuild", prepared, **{WORKERS: "1"}) as doomed:
        parent = psutil.Process(doomed.child.pid)
        await until(parent.children, timeout_s=60)
        workers = parent.children()
        doomed.kill()
    await asyncio.to_thread(psutil.wait_procs, workers, 60)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in workers)

    await _gone_on(prepared)
