"""Sweepers that die, stand still and share: nothing is left undone, and nothing that is shown is removed."""

from __future__ import annotations

import asyncio
import signal

import msgspec
import pytest

from polylogue.infra.crash_points import SWEEPER
from polylogue.infra.settings import Settings
from polylogue.schemas.claims import ExpireMedia, MediaClaim, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaDeleted, MediaFailed, MediaRetried
from polylogue.streams import sweeper_expiry
from polylogue.streams.sweeper import serve
from tests.integration.test_sweeper import (
    DAY_MS,
    WITHIN_S,
    Bucket,
    requests,
    requests_in,
    say,
    stored,
    sweeping,
)
from tests.support.media_runner import png, runner
from tests.support.processes import Process, process, wait_until

AT_EXPIRY = {point for point in SWEEPER if point.startswith("sweeper.expire")}


@pytest.fixture
def quick(prepared: Settings) -> Settings:
    return prepared.model_copy(
        update={"media_sweep_interval_s": 0.2, "media_deadline_s": 1.0, "media_remove_after_s": 1.0}
    )


def failed(claim: MediaClaim) -> MediaFailed:
    return MediaFailed(
        media_id=claim.media_id, media_type="image", reason="storage_unavailable", message="Away."
    )


async def ready(sweeper: Process) -> None:
    await asyncio.to_thread(
        wait_until, lambda: "sweeper_ready" in sweeper.text(), "the sweeper is ready", within_s=WITHIN_S
    )


async def test_whoever_comes_after_a_death_at_any_point_does_what_was_left(quick: Settings) -> None:
    bucket = Bucket(quick)
    async with runner(quick) as play, requests(quick) as asked:
        for point in sorted(SWEEPER - AT_EXPIRY):
            pending, gone = [await play.produce(png(3000), claimed=False) for _ in range(2)]
            bucket.put(gone.claim.key)
            await say(quick, gone.claim, MediaDeleted(media_id=gone.claim.media_id, media_type="image"))
            with process("sweeper", quick, POLYLOGUE_CRASH_AT=point) as sweeper:
                await asyncio.to_thread(
                    wait_until, lambda at=sweeper: at.child.poll() is not None, point, within_s=WITHIN_S
                )
                assert sweeper.child.returncode == -signal.SIGKILL
            async with sweeping(quick):
                await bucket.until(lambda: bucket.keys() == set())
                await asked.until(
                    lambda _, medium=pending: any(
                        one.claim.media_id == medium.claim.media_id  # type: ignore[attr-defined]
                        for one in requests_in(asked, StoreMedia)
                    ),
                    WITHIN_S,
                )
            await say(quick, pending.claim, stored(pending.claim))


@pytest.mark.parametrize("point", sorted(AT_EXPIRY))
async def test_an_expiry_that_was_cut_off_is_asked_for_by_the_next(
    quick: Settings, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutOff(Exception):  # noqa: N818
        pass

    def cut(name: str) -> None:
        if name == point:
            raise CutOff

    async with runner(quick) as play:
        medium = await play.produce(png(3000), claimed=False)
    await say(quick, medium.claim, stored(medium.claim))
    later = now_ms() + (quick.media_lifecycle_days + 1) * DAY_MS
    async with requests(quick) as asked:
        with monkeypatch.context() as patched:
            patched.setattr(sweeper_expiry, "crash_point", cut)
            with pytest.raises(ExceptionGroup) as cut_off:
                async with asyncio.timeout(WITHIN_S):
                    await serve(quick, asyncio.Event(), clock=lambda: later)
            assert cut_off.group_contains(CutOff)
        async with sweeping(quick, lambda: later):
            await asked.until(
                lambda _: len(requests_in(asked, ExpireMedia)) == (1 if point.endswith("before") else 2),
                WITHIN_S,
            )


async def test_a_sweeper_that_stood_still_removes_nothing_that_was_stored_meanwhile(
    prepared: Settings,
) -> None:
    bucket = Bucket(prepared)
    slow = prepared.model_copy(update={"media_sweep_interval_s": 0.2, "media_remove_after_s": 4.0})
    async with runner(slow) as play:
        retried, other, last = [await play.produce(png(3000), claimed=False) for _ in range(3)]
        bucket.put(retried.claim.key, other.claim.key, last.claim.key)
        for medium in (retried, other):
            await say(slow, medium.claim, failed(medium.claim))
        with process("sweeper", slow, LOG_LEVEL="info") as sweeper:
            await ready(sweeper)
            sweeper.signal(signal.SIGSTOP)
            again = MediaRetried(media_id=retried.claim.media_id, media_type="image", retry=1)
            await say(slow, retried.claim, again)
            outcome = stored(retried.claim)
            await say(slow, retried.claim, msgspec.structs.replace(outcome, retry=1))
            async with sweeping(slow):
                # Its colleague takes its partitions over; by then the other's removal is due, and so was this one's.
                await bucket.until(lambda: bucket.keys() == {retried.claim.key, last.claim.key})
                sweeper.signal(signal.SIGCONT)
            await say(slow, last.claim, failed(last.claim))
            await bucket.until(lambda: bucket.keys() == {retried.claim.key})
            assert sweeper.child.poll() is None
