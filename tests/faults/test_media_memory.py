"""What the media agent holds in memory does not grow with the size of a medium."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas.events import MediaStored
from tests.faults.test_runner_memory import watched
from tests.support.media_agent import agent
from tests.support.media_log import Records, events, outcomes_of
from tests.support.media_runner import Runner, png, runner

pytestmark = pytest.mark.stack

MIB = 1024 * 1024
PATIENCE_S = 120
MORE_BYTES = 64 * MIB  # of a medium of 100 MB than of one of 10 MB


async def test_a_medium_of_100_mb_takes_hardly_more_memory_than_one_of_10(
    prepared: Settings, record_property: Callable[[str, object], None]
) -> None:
    most = {}
    async with runner(prepared) as play, events(prepared) as log:
        for size_mb in (10, 100):
            # Each in a process of its own: what one has freed another need not ask for.
            with agent(prepared) as process:
                await process.ready()
                await store(play, log, 1)
                with watched(process.child.pid) as resident:
                    await store(play, log, size_mb)
                most[size_mb] = resident.most
            record_property(f"resident_mib_{size_mb}", round(resident.most / MIB))
    print({size_mb: f"{size / MIB:.0f} MiB" for size_mb, size in most.items()})
    assert most[100] - most[10] < MORE_BYTES


async def store(play: Runner, log: Records, size_mb: int) -> None:
    medium = await play.produce(png(size_mb * 1_000_000))
    await log.until(lambda all_: bool(outcomes_of(all_, medium.claim.media_id)), timeout_s=PATIENCE_S)
    assert isinstance(outcomes_of(log.records, medium.claim.media_id)[0], MediaStored)
