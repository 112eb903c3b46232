"""What the object store makes of the answers of S3, lost ones included."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from polylogue import __version__
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import load_settings
from polylogue.media import s3_calls
from polylogue.media.parts import PART_BYTES
from polylogue.media.spool import Spool
from polylogue.media.store import (
    AlreadyThere,
    Conflict,
    ObjectStore,
    StorageUnavailableError,
    Stored,
    Upload,
)
from tests.support.fake_s3 import FakeS3, Fault, Operation

KEY = "media/image/c/sim%2Fpainter/20260102_m.png"
PATH = "/test-media/media/image/c/sim%252Fpainter/20260102_m.png"
SMALL = b"small" * 100
LARGE = bytes(range(256)) * 40_000  # 10 MB: two parts


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    fake = FakeS3()
    yield fake
    fake.stop()


@pytest.fixture
async def store(s3: FakeS3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(s3_calls, "WAIT_INITIAL_S", 0.001)
    settings = load_settings(
        _env_file=None,
        s3_endpoint_url=s3.start(),
        s3_media_bucket="test-media",
        aws_access_key_id="A",
        aws_secret_access_key="S",
    )
    client = create_s3_client(settings, concurrency=4)
    yield ObjectStore(client, "test-media", concurrency=4)
    client.close()


def upload(data: bytes) -> Upload:
    return Upload(io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest(), "image/png")


def soon() -> float:
    return time.monotonic() + 10


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one request", "parts"])
async def test_stores_bytes_type_and_hash(store: ObjectStore, s3: FakeS3, data: bytes) -> None:
    assert await store.put(KEY, upload(data), deadline=soon()) == Stored()
    stored, headers = s3.objects[PATH]
    assert stored == data
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"] == 'inline; filename="20260102_m.png"'
    assert "immutable" in headers["Cache-Control"]
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(data).hexdigest()
    assert s3.uploads == {}


async def test_requests_say_nothing_of_the_host(
    store: ObjectStore, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    original = s3._carry_out

    def listening(*request: Any) -> Any:
        said.append(request[-1]["User-Agent"])
        return original(*request)

    monkeypatch.setattr(s3, "_carry_out", listening)
    await store.put(KEY, upload(SMALL), deadline=soon())
    assert [agent.split()[0] for agent in said] == [f"polylogue/{__version__}"]
    assert {part.partition("/")[0] for part in said[0].split()} == {"polylogue", "Botocore"}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["one request", "parts"])
async def test_an_equal_object_is_adopted_and_another_one_stays(
    store: ObjectStore, s3: FakeS3, data: bytes
) -> None:
    await store.put(KEY, upload(data), deadline=soon())
    assert isinstance(await store.put(KEY, upload(data), deadline=soon()), AlreadyThere)
    other = bytes(len(data))
    assert isinstance(await store.put(KEY, upload(other), deadline=soon()), Conflict)
    assert s3.objects[PATH][0] == data
    assert s3.uploads == {}, "an upload that was refused is aborted"


@pytest.mark.parametrize(
    ("data", "operation", "faults"),
    [
        (SMALL, "put", ["503", "lost before", "409", "403"]),
        (LARGE, "create", ["503", "lost before"]),
        (LARGE, "part", ["503", "lost before", "lost after"]),
        (LARGE, "part", ["503"] * 8),
        (LARGE, "complete", ["503", "200 error", "lost before"]),
        (LARGE, "complete", ["409"]),
        (LARGE, "complete", ["200 error"] * 4),
    ],
)
async def test_tries_again_until_it_is_stored(
    store: ObjectStore, s3: FakeS3, data: bytes, operation: Operation, faults: list[Fault]
) -> None:
    s3.faults[operation] = list(faults)
    assert await store.put(KEY, upload(data), deadline=soon()) == Stored()
    assert s3.faults[operation] == []
    assert s3.objects[PATH][0] == data
    await until_no_uploads(s3)


@pytest.mark.parametrize(("data", "operation"), [(SMALL, "put"), (LARGE, "complete")])
async def test_a_lost_answer_to_a_write_that_was_carried_out_is_no_second_object(
    store: ObjectStore, s3: FakeS3, data: bytes, operation: Operation
) -> None:
    s3.faults[operation] = ["lost after"]
    done = await store.put(KEY, upload(data), deadline=soon())
    assert isinstance(done, (Stored, AlreadyThere))
    assert list(s3.objects) == [PATH]
    assert s3.seen.count("create") <= 1


async def test_no_such_upload_without_an_object_starts_again(store: ObjectStore, s3: FakeS3) -> None:
    # Complete is carried out, its answer lost, and the object deleted before the next look.
    s3.faults["complete"] = ["lost after"]
    s3.faults["head"] = ["gone after"]
    original = s3._carry_out

    def remove_first(operation: Operation, path: str, *rest):
        if operation == "head" and s3.seen.count("head") == 1:
            s3.objects.pop(path, None)
        return original(operation, path, *rest)

    s3._carry_out = remove_first  # type: ignore[method-assign]
    assert await store.put(KEY, upload(LARGE), deadline=soon()) == Stored()
    assert s3.seen.count("create") == 2
    assert s3.objects[PATH][0] == LARGE


async def test_gives_up_at_the_deadline_and_leaves_no_upload(store: ObjectStore, s3: FakeS3) -> None:
    s3.faults["complete"] = ["503"] * 1000
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="503 SlowDown"):
        await store.put(KEY, upload(LARGE), deadline=time.monotonic() + 0.5)
    assert time.monotonic() - began < 5
    assert s3.objects == {}
    await until_no_uploads(s3)


async def test_tries_once_when_the_deadline_has_passed(store: ObjectStore, s3: FakeS3) -> None:
    assert await store.put(KEY, upload(SMALL), deadline=time.monotonic() - 100) == Stored()
    s3.faults["head"] = ["503"]
    with pytest.raises(StorageUnavailableError):
        await store.head(KEY, deadline=time.monotonic() - 100)


async def test_does_not_repeat_what_can_never_succeed(store: ObjectStore, s3: FakeS3) -> None:
    s3.faults["put"] = ["400 KeyTooLongError"] * 2
    with pytest.raises(StorageUnavailableError, match="KeyTooLongError"):
        await store.put(KEY, upload(SMALL), deadline=soon())
    assert s3.seen == ["put"]


async def test_a_cancelled_upload_is_aborted(store: ObjectStore, s3: FakeS3) -> None:
    s3.faults["complete"] = ["503"] * 1000
    task = asyncio.create_task(store.put(KEY, upload(LARGE), deadline=soon()))
    async with asyncio.timeout(10):
        while "complete" not in s3.seen:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_no_uploads(s3)
    assert s3.objects == {}


async def test_head_get_and_delete(store: ObjectStore, s3: FakeS3) -> None:
    assert await store.head(KEY, deadline=soon()) is None
    await store.put(KEY, upload(SMALL), deadline=soon())
    head = await store.head(KEY, deadline=soon())
    assert head is not None
    assert (head.size_bytes, head.content_type) == (len(SMALL), "image/png")
    assert await store.get(KEY, deadline=soon()) == SMALL
    await store.delete(KEY, deadline=soon())
    await store.delete(KEY, deadline=soon())
    assert s3.objects == {}


async def test_a_missing_object_is_missing_to_those_who_may_not_list_the_whole_bucket_too(
    store: ObjectStore, s3: FakeS3
) -> None:
    s3.faults["head"] = ["403"]
    assert await store.head(KEY, deadline=soon()) is None
    assert s3.seen == ["head", "list"]


async def test_an_object_that_is_there_and_may_not_be_read_is_not_taken_for_missing(
    store: ObjectStore, s3: FakeS3
) -> None:
    await store.put(KEY, upload(SMALL), deadline=soon())
    s3.faults["head"] = ["403"] * 1000
    with pytest.raises(StorageUnavailableError):
        await store.head(KEY, deadline=time.monotonic() + 0.2)


async def test_every_request_counts_as_an_attempt(s3: FakeS3) -> None:
    begun: list[int] = []
    settings = load_settings(
        _env_file=None, s3_endpoint_url=s3.start(), aws_access_key_id="A", aws_secret_access_key="S"
    )
    client = create_s3_client(settings)
    counted = ObjectStore(client, "b", attempt_begun=lambda: begun.append(1))
    s3.faults["head"] = ["503", "503"]
    await counted.head(KEY, deadline=soon())
    client.close()
    assert len(begun) == 3


async def test_lists_what_begins_with_a_prefix_page_by_page(store: ObjectStore) -> None:
    keys = [f"media/image/c/sim%2Fpainter/{number}.png" for number in range(5)]
    for key in (*keys, "media/image/d/x.png"):
        await store.put(key, upload(SMALL), deadline=soon())
    found = [key async for key in store.keys("media/image/c/", deadline=soon())]
    assert found == keys


async def test_downloads_an_object_into_a_file(store: ObjectStore) -> None:
    await store.put(KEY, upload(LARGE), deadline=soon())
    assert await store.download("media/none.png", deadline=soon()) is None
    spool = await store.download(KEY, deadline=soon())
    assert spool is not None
    with spool:
        assert spool.sha256 == hashlib.sha256(LARGE).hexdigest()
        assert spool.read_at(len(LARGE) - 5, 10) == LARGE[-5:]
    with pytest.raises(OSError, match="closed"):
        spool.read_at(0, 1)


async def test_parts_go_up_while_the_file_still_grows(store: ObjectStore, s3: FakeS3) -> None:
    with Spool() as spool:
        wanted = replace(upload(LARGE), source=spool)
        begun = store.begin(KEY, wanted, deadline=soon())
        assert begun is not None
        spool.write(LARGE[:PART_BYTES])
        begun.grown(spool.size_bytes)
        async with asyncio.timeout(10):
            while "part" not in s3.seen:
                await asyncio.sleep(0.01)
        spool.write(LARGE[PART_BYTES:])
        assert await store.put(KEY, wanted, deadline=soon(), begun=begun) == Stored()
    assert s3.objects[PATH][0] == LARGE
    assert (s3.seen.count("create"), s3.seen.count("part"), s3.uploads) == (1, 2, {})


@pytest.mark.parametrize(
    ("data", "outcome"), [(LARGE, AlreadyThere), (bytes(len(LARGE)), Conflict), (SMALL, Conflict)]
)
async def test_an_object_that_was_begun_before_its_hash_was_known_is_compared_by_its_bytes(
    store: ObjectStore, s3: FakeS3, data: bytes, outcome: type
) -> None:
    with Spool() as spool:
        begun = store.begin_growing(KEY, spool, "image/png", deadline=soon())
        spool.write(LARGE)
        begun.grown(len(LARGE))
        s3.faults["complete"] = ["lost after"]
        done = await store.put(KEY, replace(upload(LARGE), source=spool), deadline=soon(), begun=begun)
    assert isinstance(done, (Stored, AlreadyThere))
    assert "x-amz-meta-sha256" not in s3.objects[PATH][1]
    assert isinstance(await store.put(KEY, upload(data), deadline=soon()), outcome)
    assert s3.objects[PATH][0] == LARGE
    await until_no_uploads(s3)


async def test_a_file_that_stays_too_small_for_parts_is_put_whole(store: ObjectStore, s3: FakeS3) -> None:
    with Spool() as spool:
        begun = store.begin_growing(KEY, spool, "image/png", deadline=soon())
        spool.write(SMALL)
        wanted = replace(upload(SMALL), source=spool)
        assert await store.put(KEY, wanted, deadline=soon(), begun=begun) == Stored()
    assert "create" not in s3.seen


async def test_a_begun_upload_that_is_not_wanted_leaves_nothing(store: ObjectStore, s3: FakeS3) -> None:
    with Spool() as spool:
        spool.write(LARGE)
        wanted = replace(upload(LARGE), source=spool)
        refused = store.begin(KEY, wanted, deadline=soon())
        assert refused is not None
        refused.grown(len(LARGE))
        async with asyncio.timeout(10):
            while "part" not in s3.seen:
                await asyncio.sleep(0.01)
        await refused.abort()
        await refused.abort()
        assert s3.uploads == {}
        # Begun as another type than the one that it turned out to be.
        other = store.begin(KEY, replace(wanted, content_type="video/mp4"), deadline=soon())
        assert other is not None
        other.grown(len(LARGE))
        assert await store.put(KEY, wanted, deadline=soon(), begun=other) == Stored()
        await until_no_uploads(s3)
    assert s3.objects[PATH][1]["Content-Type"] == "image/png"
    assert store.begin(KEY, upload(SMALL), deadline=soon()) is None


async def test_a_begun_upload_that_failed_is_begun_anew(store: ObjectStore, s3: FakeS3) -> None:
    s3.faults["create"] = ["503"]
    with Spool() as spool:
        spool.write(LARGE)
        wanted = replace(upload(LARGE), source=spool)
        begun = store.begin(KEY, wanted, deadline=soon())
        assert begun is not None
        begun.grown(len(LARGE))
        assert await store.put(KEY, wanted, deadline=soon(), begun=begun) == Stored()
    await until_no_uploads(s3)
    assert s3.seen.count("create") == 2


async def until_no_uploads(s3: FakeS3) -> None:
    async with asyncio.timeout(10):
        while s3.uploads:
            await asyncio.sleep(0.01)
