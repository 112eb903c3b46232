"""The SSE parser: every framing, linear work, bounded memory, caps."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.sse import EventTooLongError, LineTooLongError, SseEvent, SseParser

MIB = 1024 * 1024


def parse(stream: bytes, cuts: list[int] | None = None) -> list[tuple[str, bytes]]:
    parser = SseParser()
    places = [0, *sorted(cuts or []), len(stream)]
    events: list[SseEvent] = []
    for start, end in itertools.pairwise(places):
        events += parser.feed(stream[start:end])
    events += parser.end()
    return [(event.name, bytes(event.data)) for event in events]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\r\rdata:b\r\n\r\n", [("", b"a"), ("", b"b")]),
        (b"data:  a\n\n", [("", b" a")]),
        (b"data: a\ndata: b\ndata\n\n", [("", b"a\nb\n")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [("error", b"a"), ("", b"b")]),
        (b"event: lost\n\ndata: b\n\n", [("", b"b")]),
        (b"error: boom\n\n", [("error", b"boom")]),
        (b"data: a\nerror: boom\n\n", [("", b"a"), ("error", b"boom")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b": comment\n:\n\n\ndata: a\n\n", [("", b"a")]),
        (b"data: a", [("", b"a")]),
        (b"data: a\n", [("", b"a")]),
        (b"id: 1\nretry: 2\ndatax: 3\na very long field name without any colon\n\n", []),
        (b"", []),
    ],
)
def test_framing(stream: bytes, events: list[tuple[str, bytes]]):
    assert parse(stream) == events
    assert parse(stream, list(range(len(stream)))) == events


ALPHABET = st.sampled_from(
    [b"data: x", b"data:", b"event: e", b"error: y", b":c", b"\r", b"\n", b"\r\n", b"\n\n", b"\xef"]
)


@given(st.lists(ALPHABET, max_size=40).map(b"".join), st.data())
def test_any_fragmentation_of_any_bytes_gives_the_same_events(stream: bytes, data: st.DataObject):
    assert parse(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=15))) == parse(stream)


@given(
    st.lists(st.binary(max_size=30).filter(lambda b: not {10, 13} & set(b)), max_size=20),
    st.sampled_from(["\n", "\r", "\r\n"]),
)
def test_line_ends_are_all_alike(lines: list[bytes], end: str):
    stream = b"".join(b"data: " + line + end.encode() * 2 for line in lines)
    assert parse(stream) == [("", line) for line in lines]


def test_an_event_leaves_with_its_blank_line_and_not_later():
    parser = SseParser()
    assert parser.feed(b"data: a\r\n") == []
    assert parser.feed(b"\r") == [SseEvent(b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [SseEvent(b"b")]
    assert parser.comments == 0
    assert parser.feed(b": hello\n: world\n") == []
    assert parser.comments == 2


def test_only_an_event_without_its_blank_line_is_marked_cut():
    parser = SseParser()
    assert [event.cut for event in parser.feed(b"data: a\n\ndata: b")] == [False]
    assert [event.cut for event in parser.end()] == [True]


def fed_in_pieces(size: int, mark: bytes = b"\n") -> SseParser:
    parser = SseParser()
    piece = b"A" * 65_536
    parser.feed(b": before" + mark + b"data: ")
    for _ in range(size // len(piece)):
        assert parser.feed(piece) == []
    (event,) = parser.feed(mark * 2 + b": after")
    assert len(event.data) == size
    assert event.data.count(b"A") == size
    return parser


@pytest.mark.parametrize("mark", [b"\n", b"\r", b"\r\n"])
def test_a_long_line_is_scanned_twice_at_most(mark: bytes):
    # Once for each of the two characters that may end a line, however many pieces it comes in.
    size = 30 * MIB
    assert fed_in_pieces(size, mark).bytes_scanned < 2.1 * size


def test_many_lines_in_one_piece_are_scanned_twice_at_most():
    for mark in (b"\n", b"\r", b"\r\n"):
        stream = (b"data: x" + mark * 2) * 20_000
        parser = SseParser()
        assert len(parser.feed(stream)) == 20_000
        assert parser.bytes_scanned <= 2.1 * len(stream)


def test_many_long_lines_in_one_piece_are_not_moved_for_each():
    line = b"data: " + b"A" * 100_000 + b"\n\n"
    parser = SseParser()
    events = parser.feed(line * 100)
    assert [len(event.data) for event in events] == [100_000] * 100
    assert parser.bytes_scanned <= 3 * len(line) * 100


def test_a_long_line_takes_less_than_three_times_its_size():
    size = 30 * MIB
    tracemalloc.start()
    try:
        fed_in_pieces(size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size < peak < 3 * size


def test_a_line_above_the_cap_is_refused_before_its_end():
    parser = SseParser(max_line_bytes=100)
    parser.feed(b"data: " + b"x" * 90)
    with pytest.raises(LineTooLongError):
        parser.feed(b"x" * 10)
    with pytest.raises(LineTooLongError):
        parser.feed(b"\n\n")
    with pytest.raises(LineTooLongError):
        parser.end()


def test_events_before_the_cap_are_not_lost():
    parser = SseParser(max_line_bytes=100)
    assert parser.feed(b"data: a\n\ndata: " + b"x" * 200 + b"\n\n") == [SseEvent(b"a")]
    with pytest.raises(LineTooLongError):
        parser.end()


def test_an_event_of_many_lines_is_capped_as_a_whole():
    parser = SseParser(max_event_bytes=100)
    with pytest.raises(EventTooLongError):
        parser.feed(b"data: 0123456789\n" * 10)
