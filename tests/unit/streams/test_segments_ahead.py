"""Segments that are written while a medium arrives become that medium's own, and never another's."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.settings import Settings
from polylogue.schemas.claims import SegmentRange
from polylogue.streams import segments_ahead
from polylogue.streams.gateway.events import MediaBytes
from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.segments import MediaOutbox
from polylogue.streams.segments_ahead import Begun, SegmentsAhead
from tests.support.segment_log import SMALL, Log, assert_lies_there, written_to

DATA = b"".join(bytes([number]) * SMALL for number in range(12)) + b"rest"


def medium(data: bytes) -> MediaBytes:
    return MediaBytes("image", data, hashlib.sha256(data).hexdigest())


class Answer:
    """What of its media is written before they are whole."""

    def __init__(self, *, max_bytes: int = 10_000, wanted: Callable[[], bool] = lambda: True) -> None:
        self.outbox = MediaOutbox(Settings(_env_file=None))
        ids = itertools.count(1)
        self.announced: list[tuple[str, int, bytes, int, int | None]] = []
        self.ahead = SegmentsAhead(
            lambda: self.outbox.series(f"m{next(ids)}"),
            self.outbox.ahead,
            wanted=wanted,
            announce=lambda series, head, so_far_bytes, size_bytes: self.announced.append(
                (series.media_id, series.first_offset, head, so_far_bytes, size_bytes)
            ),
            max_bytes=max_bytes,
        )

    async def arrives(self, *pieces: bytes) -> bool:
        prefix = Prefix()
        wanted = self.ahead.begin(prefix)
        for piece in pieces:
            prefix.add(piece)
            wanted = wanted and await self.ahead.add(piece)
        return wanted

    async def ends(self, data: bytes) -> tuple[str, SegmentRange] | None:
        begun = await self.ahead.taken(medium(data))
        return None if begun is None else (begun.media_id, await begun.finish(medium(data)))

    async def close(self) -> None:
        self.ahead.close()
        await asyncio.sleep(0)
        assert self.outbox.ahead.segments == 0
        await self.outbox.close()


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    ends = [0, *itertools.accumulate(sizes)]
    return [data[begin:end] for begin, end in itertools.pairwise(ends)]


@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    deaths=st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=3),
    close=st.booleans(),
)
def test_a_medium_is_whole_however_it_came_and_wherever_producers_die(
    sizes: list[int], deaths: list[tuple[int, bool]], *, close: bool
) -> None:
    async def play() -> None:
        log, answer = Log(sorted(deaths)), Answer()
        with written_to(log):
            assert await answer.arrives(*cut(DATA, sizes))
            if close:  # broken off: what is written is nobody's
                answer.ahead.close()
            found = await answer.ends(DATA)
            assert (found is not None) == (sum(sizes) >= SMALL and not close)
            if found is not None:
                assert_lies_there(log, found[1], found[0])
                assert found[1].count == 13
            await answer.close()

    asyncio.run(play())


async def test_what_is_not_the_medium_that_came_is_written_for_nothing() -> None:
    log, answer = Log(), Answer()
    with written_to(log):
        assert await answer.arrives(DATA)
        for other in (DATA[:SMALL], b"x" + DATA, DATA[: 3 * SMALL] + b"?" + DATA[3 * SMALL + 1 :]):
            assert await answer.ends(other) is None
        found = await answer.ends(DATA)
        assert found is not None
        assert await answer.ends(DATA) is None  # once
        # Another medium never writes under the id of one that came to nothing.
        assert await answer.arrives(b"2" * SMALL)
        assert await answer.arrives(b"3" * SMALL)
        other = await answer.ends(b"3" * SMALL)
        assert other is not None
        assert (found[0], other[0]) == ("m1", "m3")
        assert_lies_there(log, other[1], "m3")
        await answer.close()


async def test_a_picture_that_is_repeated_is_written_once() -> None:
    log, answer = Log(), Answer()
    with written_to(log):
        assert await answer.arrives(DATA)
        assert await answer.ends(DATA) is not None
        written = len(log.records)
        assert not await answer.arrives(DATA)
        assert await answer.ends(DATA) is None
        assert len(log.records) == written
        await answer.close()


async def test_a_medium_of_several_segments_is_announced_and_once_more_when_its_size_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments_ahead, "HEAD_BYTES", 8)
    log, answer = Log(), Answer()
    with written_to(log):
        await answer.arrives(b"1" * SMALL)
        assert await answer.ends(b"1" * SMALL) is not None
        assert answer.announced == []
        await answer.arrives(DATA)
        found = await answer.ends(DATA)
        assert found is not None
        where = ("m2", found[1].first_offset, DATA[:8])
        (*begun, size_bytes), whole = answer.announced
        *at, so_far_bytes = begun
        assert (tuple(at), size_bytes, whole) == (where, None, (*where, len(DATA), len(DATA)))
        assert 2 * segments_ahead.SEGMENT_BYTES <= so_far_bytes <= len(DATA)
        await answer.close()


async def test_what_is_refused_in_any_case_is_not_begun_and_what_grows_too_large_is_left() -> None:
    log = Log()
    with written_to(log):
        answer = Answer(wanted=lambda: False)
        assert not await answer.arrives(DATA)
        await answer.close()
        assert log.records == []
        answer = Answer(max_bytes=3 * SMALL)
        assert not await answer.arrives(DATA)
        assert await answer.ends(DATA) is None
        await answer.close()


async def test_a_broker_that_is_away_keeps_the_gateway_waiting_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stuck(_: Begun) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(segments_ahead, "ROOM_WITHIN_S", 0.01)
    monkeypatch.setattr(Begun, "_write", stuck)
    log, answer = Log(), Answer()
    with written_to(log):
        assert not await answer.arrives(DATA)
        assert await answer.ends(DATA) is None
        await answer.close()


async def test_all_media_of_a_runner_together_hold_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(_: Begun) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(segments_ahead, "WAITING_IN_ALL", 4)
    monkeypatch.setattr(Begun, "_write", stuck)
    log, first = Log(), Answer()
    with written_to(log):
        second = Answer()
        second.ahead._held = first.outbox.ahead  # of one runner
        assert await first.arrives(DATA[: 2 * SMALL])
        assert not await second.arrives(bytes(2 * SMALL))
        assert first.outbox.ahead.segments == 2
        await second.close()
        await first.close()
