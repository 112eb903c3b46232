"""The media agent as processes on the real stack: what it stores, what it says, and what killing it does."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS_DLQ, MEDIA_USAGE, topic_name
from polylogue.schemas.claims import RemoteSource
from polylogue.schemas.codec import usage_codec
from polylogue.schemas.envelope import UsageEvent
from polylogue.schemas.events import MediaFailed, MediaRejected, MediaStored
from polylogue.streams.dead_letters import REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC
from tests.support.bucket import originals_in_bucket, stored_object
from tests.support.media_agent import agent
from tests.support.media_log import Records, events, outcomes_of, visible_outcomes
from tests.support.media_runner import Produced, png, runner
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

PATIENCE_S = 60  # for a machine that does other things too


async def outcome(
    records: Records, medium: Produced, *, count: int = 1, timeout_s: float = PATIENCE_S
) -> Any:
    await records.until(
        lambda all_: len(outcomes_of(all_, medium.claim.media_id)) >= count, timeout_s=timeout_s
    )
    return outcomes_of(records.records, medium.claim.media_id)[-1]


async def test_stores_small_and_large_media_and_refuses_what_it_must(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        small = await play.produce(png(3000))
        large = await play.produce(png(12_000_000), content_type="image/jpeg")
        page = await play.produce(b"<html><script>alert(1)</script></html>")
        changed = await play.produce(png(2000), announced={"sha256": "0" * 64})
        short = await play.produce(png(2000), announced={"count": 2, "size_bytes": 4000})
        longer = await play.produce(png(2000), announced={"size_bytes": 1000})
        lost = await play.produce(png(2000), announced={"last_offset": 1_000_000})
        hinted = await play.produce(png(12_000_000), hinted=True)
        link = RemoteSource(url="https://127.0.0.1/picture.png")
        remote = await play.produce(b"x", segments=None, remote=link)
        with agent(prepared) as process:
            for medium in (small, large):
                done = await outcome(log, medium)
                assert isinstance(done, MediaStored), done
                found = stored_object(prepared, medium.claim.key)
                assert found["data"] == medium.data
                assert found["ContentType"] == "image/png"
                assert found["Metadata"] == {"sha256": done.sha256}
                assert (done.width, done.height, done.size_bytes) == (2, 1, len(medium.data))
                assert visible_outcomes(log.records, medium.claim) == ([done], 1)
            done = await outcome(log, hinted)
            found = stored_object(prepared, hinted.claim.key)
            assert (found["data"], found["ContentType"]) == (hinted.data, "image/png")
            assert found["Metadata"] == {}, "its upload was begun before anybody knew its hash"
            assert visible_outcomes(log.records, hinted.claim) == ([done], 1)
            assert (await outcome(log, large)).declared_content_type == "image/jpeg"
            refused = await outcome(log, page)
            assert isinstance(refused, MediaRejected)
            assert refused.reason == "unsupported_type"
            assert (await outcome(log, changed)).reason == "hash_mismatch"
            assert (await outcome(log, short)).reason == "missing_segments"
            assert (await outcome(log, longer)).reason == "size_mismatch"
            assert (await outcome(log, lost)).reason == "missing_segments"
            assert (await outcome(log, remote)).reason == "fetch_failed"
            async with Records(prepared, MEDIA_USAGE).open(6) as usage:
                await usage.until(lambda all_: len(all_) >= 9, timeout_s=PATIENCE_S)
            ids = set()
            for record in usage.records:
                event = usage_codec.decode(record.value)
                assert isinstance(event, UsageEvent)
                ids.add(event.event_id)
            assert {f"{small.claim.media_id}.stored.0", f"{page.claim.media_id}.rejected.0"} <= ids
            began = time.monotonic()
            process.signal(signal.SIGTERM)
            assert await process.ended(10) == 0, process.text()
            assert time.monotonic() - began < 10
        assert sorted(originals_in_bucket(prepared)) == sorted(
            medium.claim.key for medium in (small, large, hinted)
        )


async def test_buries_garbage_and_processes_the_next_claim(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        await play.write_request(b"\x00 no claim", b"some-key", partition=4)
        medium = await play.produce(png(1000), requests_partition=4)
        with agent(prepared):
            assert isinstance(await outcome(log, medium), MediaStored)
            async with Records(prepared, MEDIA_REQUESTS_DLQ).open(1) as letters:
                (letter,) = await letters.until(lambda all_: len(all_) >= 1, timeout_s=PATIENCE_S)
    headers = dict(letter.headers)
    assert letter.value == b"\x00 no claim"
    assert letter.key == b"some-key"
    assert headers[REASON] == b"the value is not JSON"
    assert headers[SOURCE_TOPIC].decode() == topic_name(prepared, MEDIA_REQUESTS_DLQ).removesuffix("-dlq")
    assert (headers[SOURCE_PARTITION], headers[SOURCE_OFFSET]) == (b"4", b"0")


async def test_another_agent_takes_over_within_15_seconds(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        with agent(prepared) as first, agent(prepared) as second:
            await first.ready()
            await second.ready()
            # Both work: there is a claim for every partition, and each medium has its outcome.
            media = [await play.produce(png(1000), requests_partition=number) for number in range(12)]
            for medium in media:
                await outcome(log, medium)
            # Some of these are under way when the first one dies.
            media = [await play.produce(png(600_000), requests_partition=number) for number in range(12)]
            first.kill()
            killed = time.monotonic()
            media += [await play.produce(png(1000), requests_partition=number) for number in range(12)]
            for medium in media:
                assert isinstance(await outcome(log, medium, timeout_s=15), MediaStored)
                assert visible_outcomes(log.records, medium.claim)[1] == 1
                assert stored_object(prepared, medium.claim.key)["data"] == medium.data
            assert time.monotonic() - killed < 15


async def test_waits_for_storage_that_comes_back_and_gives_up_at_the_deadline(prepared: Settings) -> None:
    endpoint = prepared.s3_endpoint_url
    assert endpoint is not None
    async with (
        runner(prepared) as play,
        events(prepared) as log,
        TcpProxy(str(endpoint.host), endpoint.port or 80) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port}"
        await proxy.cut()
        with agent(prepared, s3_endpoint_url=url, media_deadline_s=3) as impatient:
            medium = await play.produce(png(1000))
            # However old a claim is, it is tried once.
            old = await play.produce(png(1000), produced_at_ms=1_000)
            for lost in (medium, old):
                failed = await outcome(log, lost)
                assert isinstance(failed, MediaFailed)
                assert failed.reason == "storage_unavailable"
            await proxy.restore()
            old_but_stored = await play.produce(png(1000), produced_at_ms=1_000)
            assert isinstance(await outcome(log, old_but_stored), MediaStored)
            impatient.signal(signal.SIGTERM)
            assert await impatient.ended(10) == 0
        await proxy.cut()
        with agent(prepared, s3_endpoint_url=url, watchdog_s=6) as patient:
            await patient.ready()
            medium = await play.produce(png(7_000_000))
            other = await play.produce(png(1000))
            # Attempts count as progress, so the watchdog lets it wait for longer than its limit.
            with pytest.raises(TimeoutError):
                await outcome(log, medium, timeout_s=9)
            # A stop in the middle of it acknowledges nothing.
            patient.signal(signal.SIGTERM)
            assert await patient.ended(10) == 0, patient.text()
        with agent(prepared, s3_endpoint_url=url) as successor:
            await successor.ready()
            await proxy.restore()
            assert isinstance(await outcome(log, medium), MediaStored)
            assert isinstance(await outcome(log, other), MediaStored)
        assert stored_object(prepared, medium.claim.key)["data"] == medium.data
