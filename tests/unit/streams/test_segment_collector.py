"""A medium is put together from its own segments, each once and in order, whatever lies between them."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.schemas.claims import SegmentRange
from polylogue.streams.segment_reader import SegmentCollector

MEDIA_ID = "m1"


@dataclass
class Record:
    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def segment(offset: int, number: int, value: bytes, media_id: str = MEDIA_ID) -> Record:
    return Record(offset, value, (("media_id", media_id.encode()), ("segment", str(number).encode())))


class Got(NamedTuple):
    complete: bool
    size_bytes: int
    sha256: str
    data: bytes


def collect(records: list[Record], pieces: list[bytes], *, batch: int = 3, **changes: int) -> Got:
    data = b"".join(pieces)
    announced = SegmentRange(
        **{
            "partition": 0,
            "first_offset": 0,
            "last_offset": records[-1].offset if records else 0,
            "count": len(pieces),
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        | changes
    )
    collector = SegmentCollector(MEDIA_ID, announced)
    for at in range(0, len(records), batch):
        if not collector.ended:
            collector.add(records[at : at + batch])  # type: ignore[arg-type]
    with closing(collector.spool) as spool:
        result = collector.result()
        return Got(result.complete, spool.size_bytes, spool.sha256, spool.read_at(0, spool.size_bytes))


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=8),
    noise=st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["double", "other", "bare"])), max_size=10),
    batch=st.integers(1, 5),
)
def test_doubles_and_strangers_change_nothing(
    pieces: list[bytes], noise: list[tuple[int, str]], batch: int
) -> None:
    sent: list[tuple[str, int, bytes]] = [("own", number, piece) for number, piece in enumerate(pieces)]
    for at, kind in noise:
        place = min(at, len(sent) - 1)
        # A double of what was sent before that place, in front of the last segment.
        number = next((entry[1] for entry in reversed(sent[: place + 1]) if entry[0] == "own"), 0)
        first = next(place_ for place_, entry in enumerate(sent) if entry[0] == "own" and entry[1] == number)
        sent.insert(first + 1, (kind, number, pieces[number]))
    records = [
        segment(offset, number, value, MEDIA_ID if kind in ("own", "double") else "m2")
        if kind != "bare"
        else Record(offset, value, ())
        for offset, (kind, number, value) in enumerate(sent)
    ]
    got = collect(records, pieces, batch=batch)
    assert got.complete
    assert got.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert got.size_bytes == sum(map(len, pieces))
    assert got.data == b"".join(pieces)


@given(pieces=st.lists(st.binary(min_size=1, max_size=5), min_size=2, max_size=8), data=st.data())
def test_a_missing_segment_is_noticed(pieces: list[bytes], data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, len(pieces) - 1))
    records = [segment(number, number, piece) for number, piece in enumerate(pieces) if number != missing]
    assert not collect(records, pieces).complete


def test_a_retold_medium_is_taken_once() -> None:
    # The writer lost its answers after the second segment and sent everything again.
    pieces = [b"a", b"b", b"c"]
    order = [0, 1, 0, 1, 2]
    records = [segment(offset, number, pieces[number]) for offset, number in enumerate(order)]
    got = collect(records, pieces)
    assert (got.complete, got.size_bytes) == (True, 3)


def test_stops_at_the_last_offset_and_once_it_is_too_large() -> None:
    pieces = [b"aaaa", b"bbbb", b"cccc"]
    records = [segment(number, number, piece) for number, piece in enumerate(pieces)]
    assert collect(records, pieces, last_offset=1).size_bytes == 8
    assert collect(records, pieces, size_bytes=5).size_bytes == 8


def test_silence_for_too_long_is_a_failed_attempt() -> None:
    announced = SegmentRange(
        partition=0, first_offset=0, last_offset=1, count=2, size_bytes=2, sha256="0" * 64
    )
    collector = SegmentCollector(MEDIA_ID, announced)
    with closing(collector.spool):
        collector.wait(20)
        collector.add([segment(0, 0, b"a")])  # type: ignore[list-item]
        collector.wait(20)
        with pytest.raises(TimeoutError):
            collector.wait(20)
