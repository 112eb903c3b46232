"""What is handed out of a line before it has ended is the beginning of its medium, however the line is cut."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.line_ahead import LineAhead, LinesAhead

BEFORE = b'data: {"choices":[{"delta":{"images":[{"image_url":{"url":"'
HEAD = b"data:image/png;base64,"
AFTER = b'"}}]}}]}'


def pieces(line: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(cut % (len(line) + 1) for cut in cuts), len(line)]
    return [line[begin:end] for begin, end in itertools.pairwise(ends)]


def handed_out(parts: Iterable[bytes]) -> bytes:
    line, ahead, out = bytearray(), LineAhead(), b""
    for part in parts:
        line += part
        out += ahead.more(line)
    return out


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400)))
def test_what_comes_is_the_beginning_of_the_medium(data: bytes, cuts: list[int]) -> None:
    encoded = base64.b64encode(data)
    assert handed_out(pieces(BEFORE + HEAD + encoded, cuts)) == data
    assert data.startswith(handed_out(pieces(BEFORE + HEAD + encoded + AFTER, cuts)))


@given(data=st.binary(min_size=60, max_size=200), noise=st.binary(max_size=60), at=st.integers(0, 200))
def test_whatever_stands_in_a_line_only_base64_comes_out(data: bytes, noise: bytes, at: int) -> None:
    encoded = base64.b64encode(data)
    broken = encoded[:at] + b"!" + noise + encoded[at:]
    assert data.startswith(handed_out(BEFORE + HEAD + broken[: at + 1] for _ in range(1)))
    handed_out(bytes([byte]) for byte in BEFORE + HEAD + broken)  # ends, whatever came


@pytest.mark.parametrize(
    "head",
    [
        b"data:audio/wav;base64,",  # may yet be encoded anew
        b"data:text/html;base64,",
        b"data:image/svg+xml,",
        b"data:image/png;charset=x;base64,",
        b" data:image/png;base64,",
        b"",
    ],
)
def test_other_strings_are_left_alone(head: bytes) -> None:
    assert handed_out([BEFORE + head + base64.b64encode(bytes(99)) + AFTER]) == b""


def test_a_head_that_is_not_the_one_does_not_hide_the_next() -> None:
    text = b'"text":"so ;base64, is said","url":"'
    assert handed_out([BEFORE + text + HEAD, base64.b64encode(b"abc")]) == b"abc"


class Taker:
    def __init__(self, *, wants: bool = True, most: int = 1000) -> None:
        self.wants = wants
        self.most = most
        self.media: list[bytes] = []

    def begin(self) -> bool:
        self.media.append(b"")
        return self.wants

    async def add(self, data: bytes) -> bool:
        self.media[-1] += data
        return len(self.media[-1]) < self.most


async def looked_at(taker: Taker, *lines: list[bytes]) -> list[bytes]:
    ahead = LinesAhead(taker)
    for parts in lines:
        line = bytearray()
        for number, part in enumerate(parts):
            line += part
            await ahead.look(line, new=number == 0)
    return taker.media


FIRST, SECOND = (base64.b64encode(bytes([number]) * 60) for number in (1, 2))


async def test_every_line_is_looked_at_anew() -> None:
    lines = [BEFORE + HEAD + FIRST], [BEFORE], [BEFORE + HEAD, SECOND[:40], SECOND[40:]]
    assert await looked_at(Taker(), *lines) == [bytes([1]) * 60, bytes([2]) * 60]


async def test_who_wants_no_more_gets_no_more_of_the_line() -> None:
    parts = [BEFORE + HEAD, FIRST[:40], FIRST[40:]]
    assert await looked_at(Taker(wants=False), parts) == [b""]
    assert await looked_at(Taker(most=10), parts) == [bytes([1]) * 30]


async def test_a_line_that_gave_way_to_a_shorter_one_ends_the_guess() -> None:
    taker = Taker()
    ahead = LinesAhead(taker)
    await ahead.look(bytearray(BEFORE + HEAD + FIRST), new=False)
    await ahead.look(bytearray(b"x" * 20), new=False)
    await ahead.look(None, new=False)
    await ahead.look(bytearray(BEFORE + HEAD + FIRST + SECOND), new=False)
    assert taker.media == [bytes([1]) * 60]
