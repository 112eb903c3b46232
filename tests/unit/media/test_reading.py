"""Reading objects piece by piece: whole and in order across cuts, flat in memory, and ended when nobody reads on."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from urllib3.exceptions import ProtocolError

from polylogue.media import reading
from polylogue.media.reading import PIECE_BYTES, ObjectMissingError, ObjectReader
from polylogue.media.store import StorageUnavailableError

MB = 1024 * 1024


@dataclass
class Body:
    store: Store
    at: int
    last: int
    cut_at: int | None
    closed: bool = False

    def read(self, most: int) -> bytes:
        assert not self.closed
        if self.cut_at is not None and self.at >= self.cut_at:
            raise ProtocolError("cut")
        count = min(most, self.last + 1 - self.at)
        if self.cut_at is not None:
            count = min(count, self.cut_at - self.at)
        piece = self.store.bytes_at(self.at, count)
        self.at += count
        self.store.read += count
        return piece

    def close(self) -> None:
        self.closed = True


@dataclass
class Store:
    """An object of any size whose bytes follow from their place; `cuts` end connections, `errors` answer requests."""

    size: int
    cuts: list[int] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    read: int = 0

    def bytes_at(self, at: int, count: int) -> bytes:
        if count > 4096:
            return bytes(count)
        return bytes((at + n) % 251 for n in range(count))

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803 (boto's names)
        assert (Bucket, Key) == ("bucket", "key")
        self.spans.append(Range)
        if self.errors:
            raise self.errors.pop(0)
        first, last = (int(one) for one in Range.removeprefix("bytes=").split("-"))
        cut = self.cuts.pop(0) if self.cuts else None
        self.bodies.append(Body(self, first, min(last, self.size - 1), cut))
        return {"Body": self.bodies[-1]}


def reader(store: Store) -> ObjectReader:
    return ObjectReader(cast("Any", store), "bucket", threads=2)


def refusal(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetObject",
    )


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAIT_S", 0.0)


def test_a_connection_that_is_cut_is_gone_on_with_where_it_was_cut() -> None:
    store = Store(1000, cuts=[300, 301, 700])
    assert b"".join(reader(store).pieces("key", 10, 899)) == store.bytes_at(10, 890)
    assert store.spans == ["bytes=10-899", "bytes=300-899", "bytes=301-899", "bytes=700-899"]
    assert all(body.closed for body in store.bodies)


def test_a_storage_that_does_not_answer_is_asked_a_few_times_and_then_given_up() -> None:
    away = EndpointConnectionError(endpoint_url="http://nowhere")
    patient = Store(10, errors=[away, refusal(503, "SlowDown"), away])
    assert len(b"".join(reader(patient).pieces("key", 0, 9))) == 10
    with pytest.raises(StorageUnavailableError):
        b"".join(reader(Store(10, errors=[away] * 4)).pieces("key", 0, 9))


def test_an_object_that_is_shorter_than_was_said_is_not_passed_off_as_whole() -> None:
    with pytest.raises(StorageUnavailableError):
        b"".join(reader(Store(5)).pieces("key", 0, 9))


def test_an_object_that_is_not_there_is_said_to_be_missing_and_a_bucket_is_not() -> None:
    with pytest.raises(ObjectMissingError):
        next(reader(Store(1, errors=[refusal(404, "NoSuchKey")])).pieces("key", 0, 0))
    with pytest.raises(StorageUnavailableError):
        next(reader(Store(1, errors=[refusal(404, "NoSuchBucket")] * 4)).pieces("key", 0, 0))


async def test_memory_does_not_grow_with_the_object() -> None:
    store = Store(300 * MB)
    pieces = reader(store).in_background(reader(store).pieces("key", 0, store.size - 1))
    tracemalloc.start()
    try:
        read = 0
        while (piece := await pieces.step()) is not None:
            read += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == store.size
    assert peak < 16 * PIECE_BYTES


async def test_nothing_is_read_that_nobody_asked_for_and_closing_ends_the_connection() -> None:
    store = Store(100 * MB)
    pieces = reader(store).in_background(reader(store).pieces("key", 0, store.size - 1))
    await pieces.step()
    await pieces.step()
    assert store.read == 2 * PIECE_BYTES
    pieces.close()
    async with asyncio.timeout(10):
        while not store.bodies[0].closed:
            await asyncio.sleep(0)
    assert await pieces.step() is None
    assert store.read == 2 * PIECE_BYTES


async def test_a_reader_that_goes_away_during_a_step_leaves_no_connection_open() -> None:
    entered, released = threading.Event(), threading.Event()

    class Stuck(Body):
        def read(self, most: int) -> bytes:
            entered.set()
            assert released.wait(10)
            return super().read(most)

    class Slow(Store):
        def get_object(self, **asked: Any) -> dict[str, Any]:
            body = super().get_object(**asked)["Body"]
            self.bodies[-1] = Stuck(self, body.at, body.last, None)
            return {"Body": self.bodies[-1]}

    store = Slow(MB)
    pieces = reader(store).in_background(reader(store).pieces("key", 0, MB - 1))
    step = asyncio.create_task(pieces.step())
    assert await asyncio.to_thread(entered.wait, 10)
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    pieces.close()
    assert not store.bodies[0].closed
    released.set()
    async with asyncio.timeout(10):
        while not store.bodies[0].closed:
            await asyncio.sleep(0)
