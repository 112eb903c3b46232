"""An S3 that refuses, hangs, breaks off, lies or is gone: every medium ends stored, or is told to have failed and is
stored when it is tried again."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import msgspec
import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas.claims import RetryMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaFailed, MediaRetried, MediaStored
from tests.support.bucket import originals_in_bucket, stored_object
from tests.support.media_agent import agent
from tests.support.media_log import Records, events, outcomes_of, visible, visible_outcomes
from tests.support.media_runner import Produced, png, runner
from tests.support.s3_faults import Asked, Fault, Operation, S3Faults
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

SEED = 20260102
REFUSED = 0.1  # of all requests
PATIENCE_S = 180
OUTAGE_S = 180.0 if os.environ.get("POLYLOGUE_FAULTS") == "all" else 10.0
SMALL, LARGE = 200_000, 9_000_000

# What happens to a medium's requests: each to the next one of its kind.
PLANS: list[tuple[int, Sequence[tuple[Operation, Fault]]]] = [
    (SMALL, [("put", "503")]),
    (SMALL, [("put", "reset"), ("head", "reset")]),
    (SMALL, [("put", "lost"), ("head", "503")]),
    (SMALL, [("head", "lost"), ("put", "hang")]),
    (LARGE, [("create", "503"), ("part", "503"), ("complete", "503")]),
    (LARGE, [("create", "lost"), ("part", "lost")]),
    (LARGE, [*[("part", "reset")] * 5, ("abort", "lost")]),
    (LARGE, [("part", "hang")]),
    (LARGE, [("complete", "lost")]),
    (LARGE, [("complete", "200 error"), ("complete", "200 error")]),
    (LARGE, [("complete", "200 error"), ("complete", "lost")]),
    (LARGE, [("complete", "hang")]),
]


class Misfortune:
    """Carries out the plans, and refuses some of everything else."""

    def __init__(self) -> None:
        self.plans: dict[str, list[tuple[Operation, Fault]]] = {}
        self._dice = random.Random(SEED)

    def __call__(self, asked: Asked) -> Fault | None:
        plan = self.plans.get(asked.key, [])
        for number, (operation, _) in enumerate(plan):
            if operation == asked.operation:
                return plan.pop(number)[1]
        return "503" if self._dice.random() < REFUSED else None


async def test_every_medium_is_stored_once_by_a_storage_that_fails_in_every_way(prepared: Settings) -> None:
    endpoint = prepared.s3_endpoint_url
    assert endpoint is not None
    misfortune = Misfortune()
    async with (
        runner(prepared) as play,
        events(prepared) as log,
        S3Faults(str(endpoint.host), endpoint.port or 80, misfortune) as proxy,
    ):
        media: list[Produced] = []
        for number, (size_bytes, plan) in enumerate(PLANS):
            medium = await play.produce(png(size_bytes), claimed=False)
            misfortune.plans[medium.claim.key] = list(plan)
            await play.write_claim(medium.claim, number)
            media.append(medium)
        with agent(prepared, s3_endpoint_url=proxy.url):
            for medium in media:
                await outcome(log, medium)
        assert [plan for plan in misfortune.plans.values() if plan] == [], "every fault came about"
        assert len(proxy.done) > sum(len(plan) for _, plan in PLANS), "some others were refused too"
    for medium in media:
        ((stored,), completed) = visible_outcomes(log.records, medium.claim)
        assert isinstance(stored, MediaStored)
        assert completed == 1
        assert stored_object(prepared, medium.claim.key)["data"] == medium.data
    assert sorted(originals_in_bucket(prepared)) == sorted(medium.claim.key for medium in media)


async def outcome(log: Records, medium: Produced, count: int = 1) -> object:
    await log.until(
        lambda all_: len(outcomes_of(all_, medium.claim.media_id)) >= count, timeout_s=PATIENCE_S + OUTAGE_S
    )
    return outcomes_of(log.records, medium.claim.media_id)[-1]


@pytest.mark.timeout(OUTAGE_S + PATIENCE_S)
async def test_every_medium_outlasts_an_outage(prepared: Settings) -> None:
    """Of minutes in the long variant; the watchdog's limit is far shorter, and it lets the agent wait."""
    endpoint = prepared.s3_endpoint_url
    assert endpoint is not None
    async with (
        runner(prepared) as play,
        events(prepared) as log,
        TcpProxy(str(endpoint.host), endpoint.port or 80) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port}"
        with agent(prepared, s3_endpoint_url=url, watchdog_s=4) as patient:
            await patient.ready()
            await proxy.cut()
            sizes = [SMALL, LARGE] * 6
            media = [
                await play.produce(png(size), requests_partition=number) for number, size in enumerate(sizes)
            ]
            with pytest.raises(TimeoutError):
                await log.until(
                    lambda all_: any(outcomes_of(all_, one.claim.media_id) for one in media),
                    timeout_s=OUTAGE_S,
                )
            await proxy.restore()
            for medium in media:
                assert isinstance(await outcome(log, medium), MediaStored)
            assert patient.child.poll() is None
    for medium in media:
        assert visible_outcomes(log.records, medium.claim)[1] == 1
        assert stored_object(prepared, medium.claim.key)["data"] == medium.data
    assert len(originals_in_bucket(prepared)) == len(media)


async def test_what_failed_in_an_outage_beyond_the_deadline_is_stored_when_it_is_tried_again(
    prepared: Settings,
) -> None:
    endpoint = prepared.s3_endpoint_url
    assert endpoint is not None
    async with (
        runner(prepared) as play,
        events(prepared) as log,
        TcpProxy(str(endpoint.host), endpoint.port or 80) as proxy,
    ):
        await proxy.cut()
        url = f"http://127.0.0.1:{proxy.port}"
        with agent(prepared, s3_endpoint_url=url, media_deadline_s=2):
            medium = await play.produce(png(LARGE))
            failed = await outcome(log, medium)
            assert isinstance(failed, MediaFailed)
            assert (failed.reason, failed.retry) == ("storage_unavailable", 0)
            # Tried again too early, it fails again.
            for retry in (1, 2):
                claim = msgspec.structs.replace(medium.claim, retry=retry)
                if retry == 2:
                    await proxy.restore()
                await play.ask(RetryMedia(claim=claim, asked_at_ms=now_ms()), claim.media_id)
                await outcome(log, medium, count=1 + retry)
    shown, completed = visible(log.records, medium.claim)
    tries = [one for one in shown if isinstance(one, (MediaFailed, MediaRetried, MediaStored))]
    assert [(type(one).__name__, one.retry) for one in tries] == [
        ("MediaFailed", 0),
        ("MediaRetried", 1),
        ("MediaFailed", 1),
        ("MediaRetried", 2),
        ("MediaStored", 2),
    ]
    assert completed == 1
    assert stored_object(prepared, medium.claim.key)["data"] == medium.data
