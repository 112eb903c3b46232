"""Pictures that may be repetitions are compared while the answer goes on; nothing of it is lost or out of place."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas.claims import SegmentRange
from polylogue.schemas.events import MediaProduced, TextAppended
from polylogue.streams.gateway.events import MediaBytes
from polylogue.streams.media_production import MediaProduction
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.segments_ahead import Held
from tests.support.log import start_turn
from tests.support.media_samples import SAMPLES, encoded, picture
from tests.support.sink import Sink

FIRST, TWIN = encoded("PNG"), encoded("PNG", compress_level=1)
OTHER = encoded("PNG", picture(seed=90))


class Outbox:
    def __init__(self) -> None:
        self.ahead = Held()

    async def write_segments(self, media_id: str, data: bytes, sha256: str) -> SegmentRange:
        await asyncio.sleep(0)
        return SegmentRange(
            partition=0, first_offset=0, last_offset=0, count=1, size_bytes=len(data), sha256=sha256
        )

    async def send_claim(self, *_: object) -> None:
        return None


class Fingerprints:
    """Tells pictures apart by their length, as soon as it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.twins = {len(FIRST): "same", len(TWIN): "same"}

    async def fingerprint(self, source: BinaryIO) -> str | None:
        await self.may.wait()
        length = source.seek(0, 2)
        return self.twins.get(length, str(length))


class Answer:
    def __init__(self) -> None:
        self.sink = Sink()
        self.fingerprints = Fingerprints()
        self.log = ResponseLog(
            cast("Any", self.sink), start_turn("m"), "r", attempt=1, sequence=0, coalesce_s=60
        )
        self.media = MediaProduction(
            Settings(_env_file=None),
            cast("Any", Outbox()),
            self.log,
            "m",
            cast("Any", SimpleNamespace(off=None, refusal=lambda: None)),
            fingerprints=self.fingerprints,
        )

    async def shows(self, data: bytes) -> None:
        await self.media.produce(MediaBytes("image", data, hashlib.sha256(data).hexdigest(), None))

    def said(self) -> list[object]:
        """Texts as they are, media by the hash of what was written."""
        found: list[object] = []
        for event in self.sink.events:
            match event.data:
                case TextAppended(text=text):
                    found.append(text)
                case MediaProduced(claim=claim) if claim.segments is not None:
                    found.append(claim.segments.sha256)
        return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
async def answer() -> AsyncIterator[Answer]:
    answer = Answer()
    yield answer
    await answer.media.abandon()


async def test_text_goes_on_while_a_picture_is_compared(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(OTHER)  # nobody may look at it yet
    answer.log.text("meanwhile")
    answer.log.send_text()
    assert answer.said() == [sha256(FIRST), "meanwhile"]
    answer.fingerprints.may.set()
    await answer.media.finish()
    assert answer.said() == [sha256(FIRST), "meanwhile", sha256(OTHER)]


async def test_a_twin_is_no_medium_and_takes_no_place(answer: Answer) -> None:
    answer.fingerprints.may.set()
    await answer.shows(FIRST)
    await answer.shows(TWIN)
    await answer.media.finish()
    assert answer.said() == [sha256(FIRST)]
    assert (answer.media.count, answer.media.size_bytes) == (1, len(FIRST))


async def test_pictures_keep_their_order_and_only_one_is_compared_at_a_time(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(OTHER)
    third = asyncio.create_task(answer.shows(encoded("PNG", picture(300, 200))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not third.done()
    answer.fingerprints.may.set()
    await third
    await answer.media.finish()
    assert answer.said() == [sha256(FIRST), sha256(OTHER), sha256(encoded("PNG", picture(300, 200)))]


async def test_pictures_of_other_sizes_and_other_media_are_not_compared_at_all(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(encoded("PNG", picture(300, 200)))
    sound = SAMPLES["flac"]()
    await answer.media.produce(MediaBytes("audio", sound, sha256(sound), None))
    assert len(answer.said()) == 3  # although nobody may look at anything


async def test_a_partition_that_is_lost_meanwhile_is_told_at_the_end(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(OTHER)
    answer.sink.lost = True
    answer.fingerprints.may.set()
    with pytest.raises(PartitionLostError):
        await answer.media.finish()


async def test_an_abandoned_answer_writes_nothing_more(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(OTHER)
    await answer.media.abandon()
    answer.fingerprints.may.set()
    await answer.media.finish()
    assert answer.said() == [sha256(FIRST)]


async def test_who_stops_waiting_does_not_stop_the_comparison(answer: Answer) -> None:
    await answer.shows(FIRST)
    await answer.shows(OTHER)
    waiting = asyncio.create_task(answer.media.compared())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    answer.fingerprints.may.set()
    await answer.media.finish()
    assert answer.said() == [sha256(FIRST), sha256(OTHER)]
