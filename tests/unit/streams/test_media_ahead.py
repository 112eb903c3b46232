"""What is prepared of a medium becomes the claim's own or leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import load_settings
from polylogue.media.store import ObjectStore, Stored, Upload
from polylogue.schemas.claims import PrepareMedia, SegmentRange
from polylogue.schemas.clock import now_ms
from polylogue.schemas.envelope import Request
from polylogue.streams import media_ahead
from polylogue.streams.media_ahead import AT_ONCE, LIKELY_BYTES, TOO_OLD_MS, MediaAhead
from polylogue.streams.segment_reader import SegmentCollector, Spooled
from tests.support.fake_s3 import FakeS3
from tests.support.segment_log import record

KEY = "media/image/c/sim%2Fpainter/20260102_m.png"
PATH = "/test-media/media/image/c/sim%252Fpainter/20260102_m.png"
MIB = 1024 * 1024
DATA = bytes(range(256)) * 40_000  # 10 MB: two parts
PIECES = [DATA[at : at + MIB] for at in range(0, len(DATA), MIB)]
FIRST_OFFSET = 7
SETTINGS = load_settings(
    _env_file=None,
    s3_media_bucket="test-media",
    aws_access_key_id="A",
    aws_secret_access_key="S",
    media_max_size_mb=20,
)


def claimed_of(pieces: list[bytes]) -> SegmentRange:
    data = b"".join(pieces)
    return SegmentRange(
        partition=2,
        first_offset=FIRST_OFFSET,
        last_offset=FIRST_OFFSET + len(pieces) - 1,
        count=len(pieces),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


SEGMENTS = claimed_of(PIECES)


class Log:
    """Records come when the test says so; an error ends them."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[Any] = asyncio.Queue()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.closed = False

    def brings(self, *numbers: int) -> None:
        for number in numbers:
            self.coming.put_nowait(record(FIRST_OFFSET + number, PIECES[number], "m1", number))

    async def follow(self, first_offset: int, collected: SegmentCollector) -> AsyncGenerator[None]:
        assert (first_offset, collected.partition) == (FIRST_OFFSET, 2)
        try:
            while True:
                came = await self.coming.get()
                if isinstance(came, Exception):
                    raise came
                await collected.add_beside([came])
                yield
        finally:
            await self.may_close.wait()
            self.closed = True


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    fake = FakeS3()
    yield fake
    fake.stop()


@pytest.fixture
async def store(s3: FakeS3):
    client = create_s3_client(SETTINGS.model_copy(update={"s3_endpoint_url": s3.start()}), concurrency=4)
    yield ObjectStore(client, "test-media", concurrency=4)
    client.close()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def ahead(store: ObjectStore, log: Log):
    opened = MediaAhead(SETTINGS, log, store)  # type: ignore[arg-type]
    yield opened
    await opened.close()


def hint(
    media_id: str = "m1",
    age_ms: int = 0,
    size_bytes: int | None = None,
    so_far_bytes: int | None = None,
) -> Request:
    data = PrepareMedia(
        media_id=media_id,
        key=KEY,
        content_type="image/png",
        partition=2,
        first_offset=FIRST_OFFSET,
        begun_at_ms=now_ms() - age_ms,
        so_far_bytes=so_far_bytes,
        size_bytes=size_bytes,
    )
    return Request(request_id=f"{media_id}.prepare", data=data)


async def until_asked(s3: FakeS3, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while s3.seen.count("create") < times:
            await asyncio.sleep(0.01)


async def until(s3: FakeS3, *, parts: int) -> None:
    async with asyncio.timeout(10):
        while s3.seen.count("part") < parts:
            await asyncio.sleep(0.01)


async def until_nothing_is_left(s3: FakeS3) -> None:
    async with asyncio.timeout(10):
        while s3.uploads:
            await asyncio.sleep(0.01)


async def test_parts_are_sent_before_the_claim_and_the_rest_with_it(
    ahead: MediaAhead, store: ObjectStore, s3: FakeS3, log: Log
) -> None:
    await ahead.prepare(hint())
    log.brings(*range(7))
    await until(s3, parts=1)
    medium = ahead.take("m1")
    assert medium is not None
    claimed = asyncio.create_task(medium.whole(SEGMENTS))
    log.brings(*range(7, len(PIECES)))
    spooled = await claimed
    assert isinstance(spooled, Spooled)
    assert (spooled.complete, spooled.spool.sha256) == (True, SEGMENTS.sha256)
    with spooled.spool as spool:
        upload = Upload(spool, len(DATA), SEGMENTS.sha256, "image/png")
        assert await store.put(KEY, upload, deadline=time.monotonic() + 10, begun=medium.upload) == Stored()
    assert s3.objects[PATH][0] == DATA
    assert (s3.seen.count("create"), s3.seen.count("part"), s3.uploads) == (1, 2, {})


async def test_when_its_size_is_known_the_last_part_does_not_wait_for_the_claim(
    ahead: MediaAhead, s3: FakeS3, log: Log
) -> None:
    await ahead.prepare(hint())
    await ahead.prepare(hint(size_bytes=len(DATA)))
    log.brings(*range(len(PIECES)))
    await until(s3, parts=2)
    medium = ahead.take("m1")
    assert medium is not None
    spooled = await medium.whole(SEGMENTS)
    assert spooled is not None
    spooled.spool.close()
    await medium.upload.abort()


async def test_a_claim_of_another_size_than_was_told_is_read_from_the_log(
    ahead: MediaAhead, s3: FakeS3, log: Log
) -> None:
    await ahead.prepare(hint(size_bytes=len(DATA) - 1))
    log.brings(*range(len(PIECES)))
    await until(s3, parts=2)
    medium = ahead.take("m1")
    assert medium is not None
    assert await medium.whole(SEGMENTS) is None
    await until_nothing_is_left(s3)


async def test_the_upload_is_asked_for_before_a_whole_part_is_there(
    ahead: MediaAhead, s3: FakeS3, log: Log
) -> None:
    await ahead.prepare(hint())
    log.brings(*range(LIKELY_BYTES // MIB))
    await until_asked(s3)
    await ahead.prepare(hint("m2", size_bytes=len(DATA)))
    await until_asked(s3, 2)
    assert "part" not in s3.seen


async def test_the_upload_is_asked_for_with_the_hint_where_so_much_has_come_that_parts_are_likely(
    ahead: MediaAhead, s3: FakeS3
) -> None:
    await ahead.prepare(hint("m2", so_far_bytes=LIKELY_BYTES - 1))
    await ahead.prepare(hint(so_far_bytes=LIKELY_BYTES))
    await until_asked(s3)  # the first would have been before it
    assert s3.seen.count("create") == 1


async def test_the_upload_of_a_medium_that_turns_out_to_be_small_is_given_up(
    ahead: MediaAhead, s3: FakeS3, log: Log
) -> None:
    small = 4 * MIB
    await ahead.prepare(hint())
    log.brings(*range(LIKELY_BYTES // MIB))
    await until_asked(s3)
    await ahead.prepare(hint(size_bytes=small))
    await until_nothing_is_left(s3)
    log.brings(3)
    medium = ahead.take("m1")
    assert medium is not None
    spooled = await medium.whole(claimed_of(PIECES[:4]))
    assert spooled is not None
    with spooled.spool as spool:
        assert spool.read_at(0, small) == b"".join(PIECES[:4])
    assert "part" not in s3.seen


async def test_nobody_waits_for_the_connection_of_a_claimed_medium_but_the_end_of_the_agent(
    ahead: MediaAhead, log: Log
) -> None:
    log.may_close.clear()
    await ahead.prepare(hint())
    log.brings(0, 1)
    medium = ahead.take("m1")
    assert medium is not None
    spooled = await medium.whole(claimed_of(PIECES[:2]))
    assert spooled is not None
    spooled.spool.close()
    closing = asyncio.create_task(ahead.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert (done, log.closed) == (set(), False)
    log.may_close.set()
    await closing
    assert log.closed


async def test_a_medium_is_not_whole_while_a_thread_still_adds_to_it(
    ahead: MediaAhead, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, may_return = threading.Event(), threading.Event()
    add = SegmentCollector.add

    def slow(collected: SegmentCollector, records: Any) -> None:
        add(collected, records)
        written.set()
        assert may_return.wait(60)

    monkeypatch.setattr(SegmentCollector, "add", slow)
    await ahead.prepare(hint())
    log.brings(0)
    assert await asyncio.to_thread(written.wait, 60)
    medium = ahead.take("m1")
    assert medium is not None
    whole = asyncio.create_task(medium.whole(claimed_of(PIECES[:1])))
    done, _ = await asyncio.wait([whole], timeout=0.05)
    assert done == set()
    may_return.set()
    spooled = await whole
    assert spooled is not None
    spooled.spool.close()


async def test_of_two_sizes_that_are_told_the_first_counts(ahead: MediaAhead, s3: FakeS3, log: Log) -> None:
    await ahead.prepare(hint(size_bytes=MIB))
    await ahead.prepare(hint(size_bytes=len(DATA)))
    log.brings(*range(len(PIECES)))
    medium = ahead.take("m1")
    assert medium is not None
    assert await medium.whole(SEGMENTS) is None
    assert s3.seen == []


@pytest.mark.parametrize("end", [KafkaConnectionError(), TimeoutError()])
async def test_what_nobody_has_claimed_when_nothing_comes_any_more_is_given_up(
    ahead: MediaAhead, s3: FakeS3, log: Log, end: Exception
) -> None:
    await ahead.prepare(hint())
    log.brings(*range(7))
    await until(s3, parts=1)
    log.coming.put_nowait(end)
    await until_nothing_is_left(s3)
    assert ahead.take("m1") is None


async def test_what_nobody_has_claimed_is_given_up_also_while_others_segments_come(
    ahead: MediaAhead, s3: FakeS3, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ahead.prepare(hint())
    log.brings(*range(7))
    await until(s3, parts=1)
    monkeypatch.setattr(media_ahead, "SILENCE_S", 0.0)
    log.coming.put_nowait(record(FIRST_OFFSET + 7, PIECES[0], "another", 0))
    await until_nothing_is_left(s3)
    assert ahead.take("m1") is None


async def test_where_there_is_no_room_for_a_file_the_hint_is_passed_over(
    ahead: MediaAhead, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_part_bytes: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(media_ahead, "Spool", full)
    await ahead.prepare(hint())
    assert ahead.take("m1") is None
    assert s3.seen == []


async def test_a_medium_that_is_not_there_in_time_or_lies_elsewhere_is_read_from_the_log(
    ahead: MediaAhead, s3: FakeS3, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_ahead, "WHOLE_WITHIN_S", 0.05)
    elsewhere = SegmentRange(
        partition=2, first_offset=8, last_offset=9, count=2, size_bytes=len(DATA), sha256=SEGMENTS.sha256
    )
    for claimed in (SEGMENTS, elsewhere):
        await ahead.prepare(hint())
        log.brings(*range(7))
        await until(s3, parts=1)
        medium = ahead.take("m1")
        assert medium is not None
        assert await medium.whole(claimed) is None
        await until_nothing_is_left(s3)
        s3.seen.clear()


async def test_a_small_medium_is_read_and_nothing_of_it_sent(ahead: MediaAhead, s3: FakeS3, log: Log) -> None:
    await ahead.prepare(hint())
    log.brings(0, 1)
    medium = ahead.take("m1")
    assert medium is not None
    small = b"".join(PIECES[:2])
    spooled = await medium.whole(claimed_of(PIECES[:2]))
    assert spooled is not None
    with spooled.spool as spool:
        assert spool.read_at(0, len(small)) == small
    assert s3.seen == []


async def test_more_than_is_allowed_is_not_read_to_its_end(store: ObjectStore, s3: FakeS3, log: Log) -> None:
    ahead = MediaAhead(SETTINGS.model_copy(update={"media_max_size_mb": 8}), log, store)  # type: ignore[arg-type]
    await ahead.prepare(hint())
    log.brings(*range(9))
    async with asyncio.timeout(10):
        while (medium := ahead._under_way.get("m1")) is not None and not medium.task.done():
            await asyncio.sleep(0.01)
    await until_nothing_is_left(s3)
    await ahead.close()
    assert s3.objects == {}


async def test_hints_that_are_old_or_repeated_or_too_many_are_passed_over(ahead: MediaAhead) -> None:
    await ahead.prepare(hint("old", age_ms=TOO_OLD_MS + 1000))
    assert ahead.take("old") is None
    for number in range(AT_ONCE + 1):
        await ahead.prepare(hint(f"m{number}"))
    first = ahead._under_way["m0"]
    await ahead.prepare(hint("m0"))
    assert ahead._under_way["m0"] is first
    assert ahead.take(f"m{AT_ONCE}") is None


async def test_an_agent_that_ends_leaves_no_upload(ahead: MediaAhead, s3: FakeS3, log: Log) -> None:
    await ahead.prepare(hint())
    log.brings(*range(7))
    await until(s3, parts=1)
    await ahead.close()
    assert s3.uploads == {}
