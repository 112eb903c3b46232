"""A medium that was read and sent before it was claimed is settled from there, and read from the log where it cannot be."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import pytest

from polylogue.media.store import Conflict, ObjectHead
from polylogue.schemas.claims import SegmentRange, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaFailed, MediaRejected, MediaStored
from polylogue.streams.segment_reader import Spooled
from tests.support.settlement import CLAIM, OTHER, PNG, SHA256, Reader, Store, settled, spool


@dataclass
class Upload:
    given_up: bool = False

    def give_up(self) -> None:
        self.given_up = True


@dataclass
class Prepared:
    """What is there of a medium; None where the log must be read."""

    data: bytes | None = PNG
    complete: bool = True
    upload: Upload = field(default_factory=Upload)
    asked: list[SegmentRange] = field(default_factory=list)

    async def whole(self, segments: SegmentRange) -> Spooled | None:
        self.asked.append(segments)
        return None if self.data is None else Spooled(spool(self.data), complete=self.complete)


@dataclass
class AskedStore(Store):
    """Says whether anybody wanted to know what is there."""

    heads: int = 0

    async def head(self, key: str, *, deadline: float) -> ObjectHead | None:
        self.heads += 1
        return await super().head(key, deadline=deadline)


def claim() -> StoreMedia:
    return StoreMedia(claim=CLAIM, produced_at_ms=now_ms())


async def test_it_is_stored_without_reading_the_log_or_asking_for_the_object() -> None:
    store, reader, prepared = AskedStore(), Reader(), Prepared()
    with closing(await settled(claim(), store, reader, prepared=lambda _: prepared)) as done:
        assert isinstance(done.outcome, MediaStored)
        assert done.spool is not None
        assert done.spool.read_at(0, len(PNG)) == PNG
    assert prepared.asked == [CLAIM.segments]
    assert (store.heads, reader.reads) == (0, 0)
    assert [upload.sha256 for _, upload in store.uploads] == [SHA256]


async def test_where_it_is_not_there_the_log_is_read() -> None:
    store, reader = AskedStore(), Reader()
    with closing(await settled(claim(), store, reader, prepared=lambda _: Prepared(data=None))) as done:
        assert isinstance(done.outcome, MediaStored)
    assert (store.heads, reader.reads) == (1, 1)


@pytest.mark.parametrize(
    ("prepared", "reason"),
    [
        (Prepared(data=bytes(len(PNG))), "hash_mismatch"),
        (Prepared(data=OTHER), "size_mismatch"),
        (Prepared(complete=False), "missing_segments"),
    ],
)
async def test_what_is_not_as_it_was_announced_is_not_stored(prepared: Prepared, reason: str) -> None:
    store = Store()
    with closing(await settled(claim(), store, prepared=lambda _: prepared)) as done:
        assert isinstance(done.outcome, MediaFailed | MediaRejected)
        assert done.outcome.reason == reason
    assert store.uploads == []
    assert prepared.upload.given_up


async def test_another_object_under_the_key_stays() -> None:
    there = ObjectHead(size_bytes=1, content_type="image/png", sha256="0" * 64)
    store = Store(result=Conflict(there))
    with closing(await settled(claim(), store, prepared=lambda _: Prepared())) as done:
        assert isinstance(done.outcome, MediaFailed)


async def test_an_object_that_does_not_say_its_hash_is_adopted_by_its_bytes() -> None:
    there = ObjectHead(size_bytes=len(PNG), content_type="image/png", sha256=None)
    for content, outcome in ((PNG, MediaStored), (OTHER, MediaFailed)):
        reader = Reader()
        with closing(await settled(claim(), Store(there=there, content=content), reader)) as done:
            assert isinstance(done.outcome, outcome)
        assert reader.reads == 0
