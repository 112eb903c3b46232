"""Smaller versions: their sizes, upright, without a word of metadata, and fewer of them rather than an error."""

from __future__ import annotations

import io
import json
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from polylogue.media.inspection import inspected
from polylogue.media.renditions import rendered
from polylogue.media.verdicts import Accepted, Limits, MadeRendition
from polylogue.media.waveform import POINTS, peaks
from tests.support.media_samples import (
    RATE,
    SAMPLES,
    encoded,
    film,
    moving,
    picture,
    swapped_profile,
    wav,
    with_depth_map,
)

LIMITS = Limits(most_pixels=40_000_000, most_frames=1000, time_s=20, memory_bytes=1 << 30)
SECRET = b"52.5200N13.4050E"


def facts_of(data: bytes) -> Accepted:
    facts = inspected(io.BytesIO(data), LIMITS)
    assert isinstance(facts, Accepted), facts
    return facts


def made(data: bytes) -> dict[str, MadeRendition]:
    return {rendition.name: rendition for rendition in rendered(io.BytesIO(data), facts_of(data), LIMITS)}


def decoded(rendition: MadeRendition) -> Image.Image:
    image = Image.open(io.BytesIO(rendition.data))
    image.load()
    assert (rendition.content_type, image.format) == ("image/webp", "WEBP")
    assert image.size == (rendition.width, rendition.height)
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_large_picture_gets_a_version_of_1280_and_a_thumbnail_of_320(kind: str) -> None:
    found = made(encoded(kind, picture(2000, 1000)))
    assert {name: decoded(one).size for name, one in found.items()} == {
        "webp": (1280, 640),
        "thumbnail": (320, 160),
    }


def test_no_version_is_larger_than_its_source() -> None:
    found = made(encoded("PNG", picture(30, 500)))
    assert decoded(found["webp"]).size == (30, 500)
    assert decoded(found["thumbnail"]).size == (19, 320)
    assert decoded(made(encoded("PNG", Image.new("RGB", (1, 1))))["thumbnail"]).size == (1, 1)


def test_a_picture_on_its_side_stands_upright_and_nothing_of_its_metadata_is_left() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = SECRET.decode()
    left_red = Image.new("RGB", (400, 200), "blue")
    left_red.paste("red", (0, 0, 200, 200))
    data = encoded("JPEG", left_red, exif=exif.tobytes(), comment=SECRET, xmp=SECRET)
    assert data.count(SECRET) == 3
    for rendition in made(data).values():
        assert SECRET not in rendition.data
        image = decoded(rendition)
        assert image.height == 2 * image.width
        assert not image.getexif()
        assert not {"exif", "xmp", "icc_profile"} & set(image.info)
        top = image.convert("RGB").getpixel((image.width // 2, 5))
        assert isinstance(top, tuple)
        assert top[0] > 200
        assert top[2] < 60


def test_a_photograph_with_a_depth_map_behind_it_has_the_versions_of_any_other() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = made(with_depth_map(exif=exif.tobytes()))
    assert {name: decoded(one).size for name, one in found.items()} == {
        "webp": (200, 400),
        "thumbnail": (160, 320),
    }


def test_transparency_stays() -> None:
    data = encoded("PNG", Image.new("RGBA", (50, 50), (255, 0, 0, 0)))
    for rendition in made(data).values():
        assert decoded(rendition).getchannel("A").getextrema() == (0, 0)


def test_colours_of_another_profile_become_those_of_the_web() -> None:
    def first(**options: object) -> tuple[int, ...]:
        pixel = decoded(
            made(encoded("PNG", Image.new("RGB", (9, 9), (200, 60, 60)), **options))["webp"]
        ).getpixel((4, 4))
        assert isinstance(pixel, tuple)
        return pixel

    red, green, blue = first(icc_profile=swapped_profile())
    assert (green, red, blue) == pytest.approx(first(), abs=25)
    assert first(icc_profile=b"no profile at all") == pytest.approx(first(), abs=6)


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    grey = Image.new("I;16", (20, 20), 32768)
    pixel = decoded(made(encoded("PNG", grey))["webp"]).convert("L").getpixel((10, 10))
    assert pixel == pytest.approx(128, abs=4)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_what_moves_gets_a_still_thumbnail_alone(kind: str) -> None:
    found = made(moving(kind, 5, side=500))
    assert list(found) == ["thumbnail"]
    image = decoded(found["thumbnail"])
    assert (image.size, getattr(image, "n_frames", 1)) == ((320, 320), 1)


@pytest.mark.parametrize("name", ["mp4", "webm", "mov"])
def test_a_film_gets_a_poster_that_is_not_its_dark_first_frame(name: str) -> None:
    poster = decoded(made(SAMPLES[name]())["poster"])
    assert poster.size == (320, 180)
    brightest = poster.convert("L").getextrema()[1]
    assert isinstance(brightest, int | float)
    assert brightest > 100


def test_a_poster_is_at_most_1280_on_its_longer_side() -> None:
    assert decoded(made(film("mp4", "libx264", seconds=0.2, size=(1920, 1080)))["poster"]).size == (1280, 720)


@pytest.mark.parametrize("name", ["wav", "mp3", "ogg", "flac", "m4a", "aac"])
def test_a_sound_gets_the_outline_of_its_loudness(name: str) -> None:
    waveform = made(SAMPLES[name]())["waveform"]
    assert waveform.content_type == "application/json"
    outline = json.loads(waveform.data)
    assert outline["duration_ms"] == pytest.approx(3000, abs=60)
    points = outline["peaks"]
    assert len(points) == 200
    assert all(0 <= point <= 1 for point in points)
    # The tone grows from nothing to half of what can be.
    smooth = [sum(points[at : at + 20]) for at in range(0, 180, 20)]
    assert all(before < after for before, after in pairwise(smooth))
    assert max(points) == pytest.approx(0.5, abs=0.06)


def test_silence_is_flat_and_the_shortest_sound_has_all_points() -> None:
    assert json.loads(made(wav(1.0, loud=0.0))["waveform"].data)["peaks"] == [0.0] * POINTS
    assert len(json.loads(made(wav(0.05))["waveform"].data)["peaks"]) == POINTS


def test_a_sound_that_was_put_together_of_two_files_has_an_outline_of_both() -> None:
    half = SAMPLES["mp3"]()
    outline = json.loads(made(half + half)["waveform"].data)
    assert outline["duration_ms"] == pytest.approx(6000, abs=120)
    first, second = outline["peaks"][:100], outline["peaks"][100:]
    assert max(second) == pytest.approx(max(first), abs=0.02)


@pytest.mark.parametrize("loudest", [-32768, 32767])
def test_one_loud_sample_of_a_long_sound_is_seen_where_it_stands(loudest: int) -> None:
    silent = bytearray(wav(30.0, loud=0.0))
    struct.pack_into("<h", silent, 44 + 4 * RATE * 15075 // 1000, loudest)
    points = json.loads(made(bytes(silent))["waveform"].data)["peaks"]
    assert points == [*[0.0] * 100, 1.0, *[0.0] * 99]


@given(st.lists(st.integers(0, 32768), max_size=1500))
def test_peaks_are_as_many_and_as_loud_as_the_loudest(blocks: list[int]) -> None:
    found = peaks(blocks)
    assert len(found) == POINTS
    assert all(0 <= point <= 1 for point in found)
    assert max(found) == pytest.approx(max(blocks, default=0) / 32768, abs=0.001)


def test_a_version_that_cannot_be_made_is_missing_and_nothing_else_happens() -> None:
    facts = facts_of(SAMPLES["png"]())
    assert list(rendered(io.BytesIO(b"not what it was"), facts, LIMITS)) == []
    sound_facts = facts_of(SAMPLES["wav"]())
    assert list(rendered(io.BytesIO(SAMPLES["png"]()), sound_facts, LIMITS)) == []


def test_a_film_on_its_side_has_an_upright_poster_and_the_size_at_which_it_is_shown() -> None:
    left_red = Image.new("RGB", (320, 180), "blue")
    left_red.paste("red", (0, 0, 160, 180))
    data = bytearray(film("mp4", "libx264", seconds=0.3, images=[left_red] * 3))
    # A phone turns the picture by the matrix of the track: a quarter clockwise, so that left becomes top.
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    facts = facts_of(bytes(data))
    assert (facts.width, facts.height) == (180, 320)
    poster = decoded(made(bytes(data))["poster"]).convert("RGB")
    assert poster.size == (180, 320)
    top, bottom = poster.getpixel((90, 20)), poster.getpixel((90, 300))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > bottom[0] + 150
    assert bottom[2] > top[2] + 150
