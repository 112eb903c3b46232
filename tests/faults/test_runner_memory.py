"""What the runner holds in memory while very large pictures come."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from polylogue.infra.topic_admin import apply_topics
from tests.faults.walk import all_ended, settings_of
from tests.support.log import PARTITIONS, open_log
from tests.support.observer import observe
from tests.support.processes import process, simulator

MIB = 1024 * 1024
LIMIT = 500 * MIB
EVERY_S = 0.02


@dataclass
class Resident:
    """Bytes; the most that was seen."""

    most: int = 0


@contextmanager
def watched(pid: int) -> Iterator[Resident]:
    """Measures the resident memory of a process until the block ends."""
    seen, stop, measured = Resident(), threading.Event(), psutil.Process(pid)

    def measure() -> None:
        while not stop.wait(EVERY_S):
            seen.most = max(seen.most, measured.memory_info().rss)

    thread = threading.Thread(target=measure, name="resident")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("models", "at_once"),
    [("sim/painter:size=20mb", 12), ("sim/painter:size=95mb", 1)],
    ids=["twelve-of-20-MB", "one-of-95-MB"],
)
async def test_large_pictures_at_once_stay_within_the_limit(
    models: str,
    at_once: int,
    stack_environment: dict[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with simulator() as gateway:
        settings = settings_of(stack_environment, gateway.base_url, tmp_path)
        await apply_topics(settings, partitions=PARTITIONS)
        async with open_log(settings) as log:
            with process("runner", settings) as runner:
                warm = await log.start_turn("sim/text:pace=0ms")
                await all_ended(log, warm)
                began = time.monotonic()
                with watched(runner.child.pid) as resident:
                    turn = await log.start_turn(*[models] * at_once)
                    await all_ended(log, turn)
                took_s = time.monotonic() - began
                assert await asyncio.to_thread(runner.stop) == 0
        after = await observe(str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix)
    record_property("resident_mib", round(resident.most / MIB))
    record_property("seconds", round(took_s, 1))
    print(f"{at_once} × {models}: at most {resident.most / MIB:.0f} MiB resident, {took_s:.1f} s")
    produced = [event for event in after.events if event["type"] == "MediaProduced"]
    assert len(produced) == at_once
    assert resident.most < LIMIT
