"""Whichever process of a port is asked tells what all of them have counted."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from polylogue.api import worker_counts
from polylogue.api.metrics import Metrics
from polylogue.api.worker_counts import WorkerCounts


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """As a scraper reads them."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)  # the name of a socket has a hundred characters at most
    return Path()


async def test_each_process_tells_the_counts_of_all(short: Path) -> None:
    metrics = [Metrics() for _ in range(3)]
    counts = [WorkerCounts(one.registry, short / f"{number}.sock") for number, one in enumerate(metrics, 1)]
    async with AsyncExitStack() as stack:
        for one in counts:
            await stack.enter_async_context(one.told())
        for number, one in enumerate(metrics, 1):
            one.frames.inc(number)
            one.subscribers.set(10 * number)
            one.resumes.labels("cursor").inc(number)
        for asked in counts:
            registry = await asked.of_all()
            frames = samples(registry, "polylogue_api_frames_sent_total")
            assert frames == {(("worker", "1"),): 1, (("worker", "2"),): 2, (("worker", "3"),): 3}
            assert sum(samples(registry, "polylogue_api_subscribers").values()) == 60
            begun = samples(registry, "polylogue_api_streams_begun_total")
            assert begun[(("outcome", "cursor"), ("worker", "2"))] == 2


async def test_one_that_is_gone_or_silent_is_left_out(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_counts, "ANSWER_S", 0.05)
    own = Metrics()
    own.frames.inc()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as gone:
        silent.bind(str(short / "2.sock"))
        silent.listen()
        gone.bind(str(short / "3.sock"))
        registry = await WorkerCounts(own.registry, short / "1.sock").of_all()
    assert samples(registry, "polylogue_api_frames_sent_total") == {(("worker", "1"),): 1}


async def test_a_successor_takes_the_place_of_one_that_was_killed(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(short / "1.sock"))
    metrics, other = Metrics(), Metrics()
    metrics.frames.inc(7)
    async with WorkerCounts(metrics.registry, short / "1.sock").told():
        registry = await WorkerCounts(other.registry, short / "2.sock").of_all()
    assert samples(registry, "polylogue_api_frames_sent_total")[(("worker", "1"),)] == 7
    assert not (short / "1.sock").exists()
