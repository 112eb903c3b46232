"""What is taken out of a line before it has ended is the beginning of its medium, however the line is cut."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.gateway.line_ahead import Arriving, Lifting, MediaAhead

BEFORE = b'data: {"choices":[{"delta":{"images":[{"image_url":{"url":"'
HEAD = b"data:image/png;base64,"
AFTER = b'"}}]}}]}'


def pieces(line: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(cut % (len(line) + 1) for cut in cuts), len(line)]
    return [line[begin:end] for begin, end in itertools.pairwise(ends)]


def taken_out(parts: Iterable[bytes]) -> bytes:
    """Asserts that the line can be put together again, and that nothing is twice in memory."""
    line, lifting, out, came = bytearray(), Lifting(), b"", b""
    for part in parts:
        line += part
        came += part
        arriving = lifting.lift(line)
        out += arriving.data if arriving else b""
        lifted = lifting.lifted
        assert (lifted.size_bytes if lifted else 0) == len(out)
        assert (lifted.restored(line) if lifted else line) == came
        assert len(line) + (lifted.missing if lifted else 0) == len(came)
    return out


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 400)))
def test_what_comes_is_the_beginning_of_the_medium(data: bytes, cuts: list[int]) -> None:
    encoded = base64.b64encode(data)
    whole_groups = data[: len(data) // 3 * 3]
    assert taken_out(pieces(BEFORE + HEAD + encoded, cuts)) == whole_groups
    assert taken_out(pieces(BEFORE + HEAD + encoded + AFTER, cuts)) == whole_groups


@given(data=st.binary(min_size=60, max_size=200), noise=st.binary(max_size=60), at=st.integers(0, 200))
def test_whatever_stands_in_a_line_only_base64_comes_out(data: bytes, noise: bytes, at: int) -> None:
    encoded = base64.b64encode(data)
    broken = encoded[:at] + b"!" + noise + encoded[at:]
    assert data.startswith(taken_out([BEFORE + HEAD + broken[: at + 1]]))
    taken_out(bytes([byte]) for byte in BEFORE + HEAD + broken)  # ends, whatever came


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
    assert taken_out([BEFORE + head + base64.b64encode(bytes(99)) + AFTER]) == b""


def test_a_head_that_is_not_the_one_does_not_hide_the_next() -> None:
    text = b'"text":"so ;base64, is said","url":"'
    assert taken_out([BEFORE + text + HEAD, base64.b64encode(b"abc")]) == b"abc"


class Taker:
    def __init__(self, *, wants: bool = True, most: int = 1000) -> None:
        self.wants = wants
        self.most = most
        self.media: list[bytes] = []
        self.prefixes: list[Prefix] = []

    def begin(self, prefix: Prefix) -> bool:
        self.media.append(b"")
        self.prefixes.append(prefix)
        return self.wants

    async def add(self, data: bytes) -> bool:
        self.media[-1] += data
        return len(self.media[-1]) < self.most


async def given_to(taker: Taker) -> list[bytes]:
    ahead, one, two = MediaAhead(taker), Prefix(), Prefix()
    for prefix, data in ((one, b"12"), (one, b"34"), (two, b"56"), (two, b"78")):
        await ahead.take(Arriving(data, prefix))
    assert taker.prefixes == [one, two]
    return taker.media


async def test_each_medium_begins_once() -> None:
    assert await given_to(Taker()) == [b"1234", b"5678"]


async def test_who_wants_no_more_gets_no_more_of_the_medium() -> None:
    assert await given_to(Taker(wants=False)) == [b"", b""]
    assert await given_to(Taker(most=2)) == [b"12", b"56"]
