"""Which outcome a claim ends in, case by case, where its bytes are in the log."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError

from polylogue.media.store import AlreadyThere, Conflict, ObjectHead
from polylogue.schemas.claims import MediaClaim, RetryMedia, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import event_codec, usage_codec
from polylogue.schemas.envelope import Request
from polylogue.schemas.events import MediaStored, MediaValidated
from polylogue.streams.media_outcomes import work_event, work_usage
from polylogue.streams.media_work import Settled, Work, work_of
from polylogue.streams.segment_reader import Gone
from tests.support.settlement import CLAIM, OTHER, PNG, SHA256, Pool, Reader, Store, settle, settled


def claim_to(data: bytes, **changes: Any) -> MediaClaim:
    segments = msgspec.structs.replace(
        CLAIM.segments, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    return msgspec.structs.replace(CLAIM, segments=segments, **changes)


async def test_what_is_stored_is_described_by_its_bytes() -> None:
    store = Store()
    claim = msgspec.structs.replace(CLAIM, content_type="image/jpeg", format="jpg")
    done = await settle(claim, store)
    assert isinstance(done, MediaStored)
    assert (done.content_type, done.format, done.declared_content_type) == ("image/png", "png", "image/jpeg")
    assert (done.width, done.height, done.sha256, done.size_bytes) == (40, 30, SHA256, len(PNG))
    assert (done.codec, done.provenance) == ("png", True)
    assert done.url.startswith("http://127.0.0.1:1/polylogue-media/media/")
    ((key, upload),) = store.uploads
    assert (key, upload.content_type, upload.sha256) == (CLAIM.key, "image/png", SHA256)


async def test_what_was_accepted_is_told_before_it_is_stored() -> None:
    store = Store()
    told: list[tuple[str, MediaValidated, int]] = []

    def accepted(work: Work, facts: MediaValidated) -> None:
        told.append((work.claim.media_id, facts, len(store.uploads)))

    claim = msgspec.structs.replace(CLAIM, content_type="image/jpeg", format="jpg", retry=2)
    work = RetryMedia(claim=claim, asked_at_ms=now_ms())
    with closing(await settled(work, store, accepted=accepted)):
        facts = MediaValidated(
            media_id="m1",
            media_type="image",
            format="png",
            content_type="image/png",
            size_bytes=len(PNG),
            width=40,
            height=30,
            retry=2,
        )
        assert told == [("m1", facts, 0)]
        assert len(store.uploads) == 1


@pytest.mark.parametrize(
    ("claim", "store", "reader"),
    [
        (CLAIM, Store(there=ObjectHead(len(PNG), "image/png", SHA256)), Reader()),
        (CLAIM, Store(), Reader(data=PNG + b"x")),
        (CLAIM, Store(), Reader(gone=Gone("expired"))),
    ],
    ids=["adopted", "not-as-announced", "gone"],
)
async def test_where_nothing_is_going_to_be_stored_nothing_is_told(
    claim: MediaClaim, store: Store, reader: Reader
) -> None:
    told: list[MediaValidated] = []
    work = StoreMedia(claim=claim, produced_at_ms=now_ms())
    with closing(await settled(work, store, reader, accepted=lambda _, facts: told.append(facts))):
        assert told == []


async def test_a_refused_file_is_not_told_as_accepted() -> None:
    told: list[MediaValidated] = []
    work = StoreMedia(claim=claim_to(b"<svg/>"), produced_at_ms=now_ms())
    done = await settled(work, reader=Reader(data=b"<svg/>"), accepted=lambda _, facts: told.append(facts))
    with closing(done):
        assert (type(done.outcome).__name__, told) == ("MediaRejected", [])


async def test_an_equal_object_is_adopted_without_reading_the_log() -> None:
    store, reader = Store(there=ObjectHead(len(PNG), "image/png", SHA256)), Reader()
    assert await settle(store=store, reader=reader) == await settle()
    assert (store.uploads, reader.reads, store.downloads) == ([], 0, 1)


async def test_an_object_that_another_attempt_wrote_meanwhile_gives_the_same_outcome() -> None:
    adopted = AlreadyThere(ObjectHead(len(PNG), "image/png", SHA256))
    assert await settle(store=Store(result=adopted)) == await settle()


@pytest.mark.parametrize(
    "store",
    [Store(there=ObjectHead(1, "image/png", "other")), Store(result=Conflict(ObjectHead(1, "x", None)))],
)
async def test_another_object_under_the_key_stays_and_the_medium_fails(store: Store) -> None:
    assert (await settle(store=store)).reason == "internal"


@pytest.mark.parametrize(
    ("claim", "reader", "outcome", "reason"),
    [
        (CLAIM, Reader(data=PNG + b"x"), "MediaRejected", "size_mismatch"),
        (CLAIM, Reader(data=b"x" + PNG[1:]), "MediaRejected", "hash_mismatch"),
        (CLAIM, Reader(data=PNG[:9], complete=False), "MediaFailed", "missing_segments"),
        (CLAIM, Reader(gone=Gone("expired")), "MediaFailed", "expired"),
        (CLAIM, Reader(gone=Gone("missing_segments")), "MediaFailed", "missing_segments"),
        (claim_to(b"<svg/>"), Reader(data=b"<svg/>"), "MediaRejected", "unsupported_type"),
        (claim_to(b""), Reader(), "MediaRejected", "empty"),
        (claim_to(bytes(1024 * 1024 + 1)), Reader(), "MediaRejected", "too_large"),
        (msgspec.structs.replace(CLAIM, segments=None), Reader(), "MediaFailed", "internal"),
        (CLAIM, Reader(error=ZeroDivisionError()), "MediaFailed", "internal"),
    ],
)
async def test_what_cannot_be_stored_ends_with_its_reason(
    claim: MediaClaim, reader: Reader, outcome: str, reason: str
) -> None:
    store = Store()
    done = await settle(msgspec.structs.replace(claim, retry=2), store, reader)
    assert (type(done).__name__, done.reason, done.media_id, done.retry) == (outcome, reason, "m1", 2)
    assert done.message.endswith(".")
    assert store.uploads == []


async def test_a_claim_past_its_deadline_is_tried_once() -> None:
    reader = Reader(error=KafkaConnectionError())
    assert (await settle(reader=reader, age_s=10_000)).reason == "internal"
    assert reader.reads == 1
    assert isinstance(await settle(age_s=10_000), MediaStored)
    assert (await settle(store=Store(down=True), age_s=10_000)).reason == "storage_unavailable"


async def test_outcome_and_usage_have_ids_that_no_repetition_changes() -> None:
    done = await settle()
    work = StoreMedia(claim=CLAIM, produced_at_ms=1_000, traceparent="00-a-b-01")
    request = Request(request_id="m1.0", data=work)
    first, second = (work_event(work_of(request, work), done, at) for at in (5_000, 6_000))
    assert first.event_id == second.event_id == "m1.MediaStored.0"
    assert (first.sequence, first.attempt, first.response_id, first.traceparent) == (
        None,
        None,
        "t1-1",
        "00-a-b-01",
    )
    assert event_codec.decode(event_codec.encode(first)) == first
    usage = work_usage(work_of(request, work), Settled(done), 5_000)
    assert usage_codec.decode(usage_codec.encode(usage)) == usage
    assert usage.event_id == "m1.stored.0"
    assert usage.data.latency_ms == 4_000  # type: ignore[attr-defined]
    assert usage.data.provider == "sim"  # type: ignore[attr-defined]
    assert usage.data.cost_usd_micros == 7  # type: ignore[attr-defined]


async def test_what_was_stored_and_then_changed_is_no_medium() -> None:
    changed = Store(there=ObjectHead(len(PNG), "image/png", SHA256), content=OTHER)
    assert (await settle(store=changed)).reason == "internal"


async def test_an_object_that_goes_while_it_is_adopted_is_stored_anew() -> None:
    store, reader = Store(there=ObjectHead(len(PNG), "image/png", SHA256), content=None), Reader()
    assert isinstance(await settle(store=store, reader=reader), MediaStored)
    assert (reader.reads, len(store.uploads)) == (1, 1)


async def test_a_check_that_could_not_begin_says_nothing_of_the_medium() -> None:
    pool = Pool(errors=[OSError("no process"), OSError("no process")])
    assert isinstance(await settle(pool=pool), MediaStored)
    assert pool.asked == [("image/png", "image")] * 3
    late = Pool(errors=[OSError("no process")])
    assert (await settle(pool=late, age_s=10_000)).reason == "internal"


async def test_a_stored_medium_hands_on_its_bytes_and_the_time_of_every_step() -> None:
    with closing(await settled(StoreMedia(claim=CLAIM, produced_at_ms=now_ms() - 5_000))) as done:
        assert done.spool is not None
        assert done.spool.read_at(0, len(PNG)) == PNG
        assert done.facts is not None
        assert done.steps.queued is not None
        assert done.steps.queued >= 5_000
        assert None not in (done.steps.read, done.steps.validate, done.steps.upload)
    refused = await settled(StoreMedia(claim=CLAIM, produced_at_ms=now_ms()), reader=Reader(data=b"x"))
    assert (refused.spool, refused.steps.upload) == (None, None)


async def test_the_time_of_a_retry_counts_from_when_it_was_asked_for() -> None:
    retry = RetryMedia(claim=msgspec.structs.replace(CLAIM, retry=1), asked_at_ms=now_ms() - 10_000_000)
    done = await settled(retry, Store(down=True))
    assert (done.outcome.reason, done.outcome.retry) == ("storage_unavailable", 1)  # type: ignore[union-attr]
    assert done.steps.queued is not None
    assert done.steps.queued >= 10_000_000
