"""The same pixels in other bytes are recognised within an answer; doubt, failure and slowness say that they are new."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from polylogue.media.sniff import WAV, sniff
from polylogue.media.validation import ValidationPool
from polylogue.media.verdicts import Limits
from polylogue.streams import seen_pictures
from polylogue.streams.seen_pictures import SeenPictures, size_of
from tests.support.media_samples import encoded, moving, picture

LIMITS = Limits(most_pixels=40_000_000, most_frames=1000, time_s=60, memory_bytes=1 << 30)
SIZE = (400, 200)


@pytest.fixture
async def pool() -> AsyncIterator[ValidationPool]:
    async with ValidationPool(LIMITS, processes=1) as started:
        yield started


class Scripted:
    """Answers as it is told, and counts the questions."""

    def __init__(self, answer: Callable[[], Awaitable[str | None]]) -> None:
        self._answer = answer
        self.asked = 0

    async def fingerprint(self, source: BinaryIO) -> str | None:
        self.asked += 1
        return await self._answer()


def labelled(text: str) -> bytes:
    info = PngInfo()
    info.add_text("Comment", text)
    return encoded("PNG", pnginfo=info)


TWINS = {
    "compressed more": encoded("PNG", compress_level=1),
    "labelled": labelled("made again"),
    "as WebP without loss": encoded("WEBP", lossless=True),
    "with a transparency that hides nothing": encoded("PNG", picture().convert("RGBA")),
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
async def test_the_same_pixels_in_other_bytes_are_shown_again(pool: ValidationPool, twin: bytes) -> None:
    original = encoded("PNG")
    assert twin != original
    seen = SeenPictures(pool)
    assert not seen.has(SIZE)
    await seen.keep(SIZE, original)
    assert seen.has(SIZE)
    assert await seen.shows_again(SIZE, twin)
    seen.close()


async def test_another_picture_of_the_same_size_is_new_and_its_own_twin_is_not(pool: ValidationPool) -> None:
    seen = SeenPictures(pool)
    await seen.keep(SIZE, encoded("PNG"))
    other = picture(seed=90)
    assert not await seen.shows_again(SIZE, encoded("PNG", other))
    assert await seen.shows_again(SIZE, encoded("PNG", other, compress_level=1))
    assert await seen.shows_again(SIZE, labelled("the first one"))


async def test_one_changed_pixel_makes_a_picture_new(pool: ValidationPool) -> None:
    changed = picture()
    changed.putpixel((399, 199), (1, 2, 3))
    seen = SeenPictures(pool)
    await seen.keep(SIZE, encoded("PNG"))
    assert not await seen.shows_again(SIZE, encoded("PNG", changed))


async def test_shades_that_eight_bits_cannot_tell_apart_are_not_the_same(pool: ValidationPool) -> None:
    seen = SeenPictures(pool)
    await seen.keep((4, 4), encoded("PNG", Image.new("I;16", (4, 4), 4000)))
    assert not await seen.shows_again((4, 4), encoded("PNG", Image.new("I;16", (4, 4), 4001)))


async def test_what_moves_or_cannot_be_decoded_is_always_new(pool: ValidationPool) -> None:
    for data in (moving("GIF", 3), encoded("PNG")[:60]):
        seen = SeenPictures(pool)
        await seen.keep((40, 40), data)
        assert not await seen.shows_again((40, 40), data)
        seen.close()


async def test_an_answer_with_one_picture_decodes_nothing() -> None:
    async def never() -> str | None:
        raise AssertionError

    fingerprints = Scripted(never)
    seen = SeenPictures(fingerprints)
    await seen.keep(SIZE, encoded("PNG"))
    seen.close()
    assert fingerprints.asked == 0


async def test_a_comparison_that_fails_says_new_and_the_next_one_tries_again() -> None:
    async def broken() -> str | None:
        raise OSError

    fingerprints = Scripted(broken)
    seen = SeenPictures(fingerprints)
    await seen.keep(SIZE, encoded("PNG"))
    for asked in (1, 2):
        assert not await seen.shows_again(SIZE, encoded("PNG", compress_level=1))
        assert fingerprints.asked == asked
    seen.close()


async def test_a_comparison_that_takes_too_long_says_new(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow() -> str | None:
        await asyncio.Event().wait()
        return "never"

    monkeypatch.setattr(seen_pictures, "COMPARE_S", 0.02)
    seen = SeenPictures(Scripted(slow))
    await seen.keep(SIZE, encoded("PNG"))
    assert not await seen.shows_again(SIZE, encoded("PNG", compress_level=1))
    seen.close()


def test_the_size_is_read_from_the_header_and_only_pictures_have_one() -> None:
    data = encoded("PNG")
    assert size_of(data, sniff(data)) == SIZE
    assert size_of(b"RIFF", WAV) is None
    assert size_of(b"", None) is None
    assert Image.open(io.BytesIO(data)).size == SIZE
