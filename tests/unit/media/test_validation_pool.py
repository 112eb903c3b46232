"""The pool: files that hang, bomb or crash cost a process and nothing else, and no process outlives its use."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import uvloop

from polylogue.infra.settings import Settings
from polylogue.media import validation
from polylogue.media.validation import ValidationPool
from polylogue.media.validation_process import ProcessDiedError, ValidationProcess
from polylogue.media.verdicts import (
    Accepted,
    Answer,
    Inspect,
    Limits,
    Question,
    Refused,
    Render,
    Rendered,
)
from tests.support.media_runner import png
from tests.support.media_samples import SAMPLES, png_of_zeros, slow_gif

PATIENCE_S = 60
LIMITS = Limits(most_pixels=40_000_000, most_frames=1000, time_s=PATIENCE_S, memory_bytes=1 << 30)
VERDICT = Accepted(media_type="image", format="png", content_type="image/png", width=4, height=3)


@pytest.fixture
async def pool() -> AsyncIterator[ValidationPool]:
    async with ValidationPool(LIMITS, processes=1) as started:
        yield started


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample"
    path.write_bytes(SAMPLES["png"]())
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    path = tmp_path / "slow"
    path.write_bytes(slow_gif())
    return path


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    """Not even a zombie is left."""
    return not psutil.pid_exists(pid)


async def test_the_sniffed_type_wins_and_the_declared_one_is_recorded(
    pool: ValidationPool, sample: Path
) -> None:
    verdict = await pool.inspect(sample, declared="image/jpeg", media_type="video")
    assert isinstance(verdict, Accepted)
    assert (verdict.media_type, verdict.content_type, verdict.declared) == (
        "image",
        "image/png",
        "image/jpeg",
    )
    assert not verdict.agrees
    verdict = await pool.inspect(sample, declared="image/PNG; charset=binary")
    assert isinstance(verdict, Accepted)
    assert verdict.agrees


async def test_a_file_without_a_name_is_read_and_its_position_stays(pool: ValidationPool) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(SAMPLES["jpg"]())
        file.flush()
        file.seek(7)
        verdict = await pool.inspect(file)
        assert isinstance(verdict, Accepted)
        assert {one.name for one in await pool.renditions(file, verdict)} == {"webp", "thumbnail"}
        assert file.tell() == 7


async def test_the_same_process_looks_at_one_file_after_another(pool: ValidationPool, sample: Path) -> None:
    before = pool.process_ids
    for _ in range(3):
        assert isinstance(await pool.inspect(sample), Accepted)
    assert pool.process_ids == before


async def test_a_picture_takes_the_memory_that_the_one_before_has_freed(
    pool: ValidationPool, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(png(10_000_000))
    assert isinstance(await pool.inspect(path), Accepted)
    (pid,) = pool.process_ids
    before = page_faults(pid)
    assert isinstance(await pool.inspect(path), Accepted)
    assert page_faults(pid) - before < 10_000_000 // os.sysconf("SC_PAGE_SIZE") // 4


def page_faults(pid: int) -> int:
    """Where the kernel tells them."""
    path = Path(f"/proc/{pid}/stat")
    return int(path.read_text("ascii").rpartition(")")[2].split()[7]) if path.exists() else 0


async def test_a_file_whose_probe_hangs_is_refused_in_time_and_its_process_replaced(sample: Path) -> None:
    limits = Limits(most_pixels=40_000_000, most_frames=1000, time_s=0.5, memory_bytes=1 << 30)
    async with ValidationPool(limits, processes=1) as pool:
        (hanging,) = pool.process_ids
        os.kill(hanging, signal.SIGSTOP)  # what hangs does not even react to a polite signal
        verdict = await asyncio.wait_for(pool.inspect(sample), PATIENCE_S)
        assert isinstance(verdict, Refused)
        assert verdict.reason == "too_costly"
        assert gone(hanging)
        await pool.start()
        assert hanging not in pool.process_ids
        assert len(pool.process_ids) == 1


async def test_a_file_that_takes_too_long_is_refused_and_the_next_one_is_not(
    slow: Path, sample: Path
) -> None:
    limits = Limits(most_pixels=40_000_000, most_frames=1000, time_s=0.5, memory_bytes=1 << 30)
    async with ValidationPool(limits, processes=1) as pool:
        verdict = await pool.inspect(slow)
        assert isinstance(verdict, Refused)
        assert verdict.reason == "too_costly"
    async with ValidationPool(LIMITS, processes=1) as patient:
        assert isinstance(await patient.inspect(sample), Accepted)


async def test_processor_time_has_a_limit_that_needs_nobody_to_watch(slow: Path) -> None:
    limits = Limits(most_pixels=40_000_000, most_frames=1000, time_s=0.1, memory_bytes=1 << 30)
    process = await ValidationProcess.start(limits)
    with slow.open("rb") as file, pytest.raises(ProcessDiedError):
        await asyncio.wait_for(process.ask(Inspect(), file.fileno()), PATIENCE_S)
    assert await process.died() in {-signal.SIGXCPU, -signal.SIGALRM}


async def test_a_picture_that_needs_more_memory_than_one_file_may_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(png_of_zeros(6000, 6000))
    little = Limits(most_pixels=40_000_000, most_frames=1000, time_s=PATIENCE_S, memory_bytes=16 << 20)
    async with ValidationPool(little, processes=1) as pool:
        verdict = await pool.inspect(path)
        assert isinstance(verdict, Refused)
        assert verdict.reason == "too_costly"
    async with ValidationPool(LIMITS, processes=1) as pool:
        assert isinstance(await pool.inspect(path), Accepted)


async def test_a_process_that_died_in_between_is_replaced_and_nobody_notices(
    pool: ValidationPool, sample: Path
) -> None:
    (before,) = pool.process_ids
    psutil.Process(before).kill()
    assert isinstance(await pool.inspect(sample), Accepted)
    assert before not in pool.process_ids


async def test_a_file_that_crashes_its_decoder_every_time_is_refused(
    pool: ValidationPool, slow: Path
) -> None:
    killed: set[int] = set()

    async def crash() -> None:
        while len(killed) < 2:
            for pid in pool.process_ids - killed:
                psutil.Process(pid).kill()
                killed.add(pid)
            await asyncio.sleep(0.001)

    crashing = asyncio.create_task(crash())
    verdict = await pool.inspect(slow)
    await crashing
    assert isinstance(verdict, Refused)
    assert verdict.reason == "undecodable"
    assert all(gone(pid) for pid in killed)


async def test_renditions_and_fingerprints_of_a_file_that_crashes_are_simply_missing(
    pool: ValidationPool, sample: Path, slow: Path
) -> None:
    facts = await pool.inspect(sample)
    assert isinstance(facts, Accepted)
    page = slow.with_name("page")
    page.write_bytes(b"<html>")
    assert await pool.renditions(page, facts) == []
    assert await pool.fingerprint(page) is None


async def test_no_more_processes_run_than_the_setting_says(sample: Path) -> None:
    settings = Settings(_env_file=None, media_validation_processes=2)
    async with ValidationPool.from_settings(settings) as pool:
        checks = [asyncio.create_task(pool.inspect(sample)) for _ in range(12)]
        most = 0
        while not all(check.done() for check in checks):
            most = max(most, len(pool.process_ids))
            await asyncio.sleep(0)
        assert most == 2
        assert all(isinstance(check.result(), Accepted) for check in checks)


async def test_a_check_that_is_called_off_leaves_a_pool_that_works(
    pool: ValidationPool, slow: Path, sample: Path
) -> None:
    (busy,) = pool.process_ids
    check = asyncio.create_task(pool.inspect(slow))
    await eventually(lambda: psutil.Process(busy).cpu_times().user > 0.8)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert gone(busy)
    assert isinstance(await pool.inspect(sample), Accepted)


async def test_closing_ends_every_process_also_one_at_work(slow: Path) -> None:
    pool = ValidationPool(LIMITS, processes=2)
    await pool.start()
    pids = pool.process_ids
    check = asyncio.create_task(pool.inspect(slow))
    await eventually(lambda: any(psutil.Process(pid).cpu_times().user > 0.8 for pid in pids))
    await pool.close()
    assert all(gone(pid) for pid in pids)
    with pytest.raises(OSError, match="closed"):
        await check


@pytest.mark.parametrize("processes", [1, 2, 3])
async def test_a_verdict_waits_for_no_smaller_version_that_has_not_begun(
    sample: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """And for none at all where there are two processes: a reader waits for the verdict."""
    gate, asked = asyncio.Event(), []

    class Process:
        files = 0

        async def ask(self, question: Question, descriptor: int) -> Answer:
            assert descriptor
            asked.append(type(question))
            if isinstance(question, Render):
                await gate.wait()
                return Rendered()
            return VERDICT

        async def end(self) -> int:
            return 0

    async def start(_: Limits) -> Process:
        return Process()

    monkeypatch.setattr(ValidationProcess, "start", start)
    async with ValidationPool(LIMITS, processes=processes) as pool:
        renders = [asyncio.create_task(pool.renditions(sample, VERDICT)) for _ in range(5)]
        busy = max(1, processes - 1)
        await eventually(lambda: asked.count(Render) == busy)
        check = asyncio.create_task(pool.inspect(sample))
        if processes == 1:
            gate.set()
        async with asyncio.timeout(PATIENCE_S):
            assert await check is VERDICT
        assert asked[: busy + 1] == [*([Render] * busy), Inspect]
        gate.set()
        assert await asyncio.gather(*renders) == [[]] * 5


async def test_a_process_is_replaced_after_many_files(
    pool: ValidationPool, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "MOST_FILES", 2)
    first = pool.process_ids
    for _ in range(2):
        await pool.inspect(sample)
    assert isinstance(await pool.inspect(sample), Accepted)
    assert not first & pool.process_ids


async def test_a_process_holds_no_secret_and_cannot_write_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-pool")
    async with ValidationPool(LIMITS, processes=1) as pool:
        process = psutil.Process(*pool.process_ids)
        assert "canary-of-the-pool" not in str(process.environ())
        assert set(process.environ()) <= {
            "PYTHONPATH",
            "PYTHONDONTWRITEBYTECODE",
            "MALLOC_ARENA_MAX",
            "MALLOC_TRIM_THRESHOLD_",
            "MALLOC_MMAP_THRESHOLD_",
            "LANG",
        }
        if sys.platform == "linux":
            assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert process.rlimit(psutil.RLIMIT_AS)[1] != psutil.RLIM_INFINITY


async def test_a_process_has_no_network_wherever_the_kernel_lets_it_leave_ours() -> None:
    probe = "import ctypes, sys; sys.exit(sys.platform != 'linux' or ctypes.CDLL(None).unshare(0x50000000))"
    trying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", probe, stderr=asyncio.subprocess.DEVNULL
    )
    allowed = await trying.wait() == 0
    async with ValidationPool(LIMITS, processes=1) as pool:
        (pid,) = pool.process_ids
        assert (network_of(pid) != network_of(os.getpid())) == allowed


def network_of(pid: int) -> str:
    """The name of its network; every process has the same where there are no others."""
    path = Path(f"/proc/{pid}/ns/net")
    return str(path.readlink()) if path.is_symlink() else ""


def test_hangs_deaths_and_closing_are_survived_under_the_loop_of_the_product_too(
    sample: Path, slow: Path
) -> None:
    limits = Limits(most_pixels=40_000_000, most_frames=1000, time_s=3, memory_bytes=1 << 30)

    async def look() -> list[object]:
        async with ValidationPool(limits, processes=1) as pool:
            found: list[object] = [await pool.inspect(sample), await pool.inspect(slow)]
            found.append(await pool.inspect(sample))
            psutil.Process(*pool.process_ids).kill()
            found.append(await pool.inspect(sample))
            check = asyncio.create_task(pool.inspect(slow))
            await asyncio.sleep(0)
        return [*found, *(await asyncio.gather(check, return_exceptions=True))]

    first, hanging, second, third, closed = uvloop.run(look())
    assert all(isinstance(verdict, Accepted) for verdict in (first, second, third))
    assert isinstance(hanging, Refused)
    assert isinstance(closed, OSError)


PARENT = """
import asyncio, sys
from polylogue.media.validation import ValidationPool
from polylogue.media.verdicts import Limits

async def main():
    limits = Limits(most_pixels=1, most_frames=1, time_s=60, memory_bytes=1 << 30)
    async with ValidationPool(limits, processes=2) as pool:
        print(*pool.process_ids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_processes_end_when_their_parent_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    children = [psutil.Process(pid) for pid in pids]
    assert len(children) == 2
    parent.kill()
    await parent.wait()
    await eventually(lambda: not any(running(child) for child in children))


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
