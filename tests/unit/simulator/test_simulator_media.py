"""Pictures and sounds are real, sensible, at least as large as asked, and the same each time."""

from __future__ import annotations

import io
import wave
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from polylogue.simulator import media, scenes

RED, GREEN, BLUE, YELLOW = (scenes.COLOURS[name] for name in ("red", "green", "blue", "yellow"))


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    image.load()
    return image.convert("RGB")


def share(image: Image.Image, colour: tuple[int, int, int]) -> float:
    counts = image.getcolors(image.width * image.height)
    assert counts is not None
    return sum(count for count, value in counts if value == colour) / (image.width * image.height)


def seconds(content: bytes) -> float:
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        assert stream.rate == 24_000
        assert stream.channels == 1
        return float(sum(frame.samples for frame in container.decode(stream)) / stream.rate)


def test_a_red_circle_is_a_red_circle_on_white() -> None:
    image = opened(media.png("Draw a red circle", 1))
    assert image.size == (1024, 1024)
    assert image.getpixel((512, 512)) == RED
    assert image.getpixel((5, 5)) == (255, 255, 255)
    # A circle of radius 0.3 to 0.4 of the side.
    assert 0.28 < share(image, RED) < 0.51


def test_colours_shapes_and_the_background_follow_the_prompt() -> None:
    image = opened(media.png("two blue squares and a green star on a yellow background", 3))
    assert image.getpixel((2, 2)) == YELLOW
    assert share(image, BLUE) > share(image, GREEN) > 0.01
    assert share(image, RED) == 0


def test_every_shape_can_be_drawn_and_differs_from_the_others() -> None:
    shapes = sorted(set(scenes.SHAPES.values()))
    drawn = {media.png(f"a blue {shape}", 1, width=64, height=64) for shape in shapes}
    assert len(drawn) == len(shapes)


def test_a_prompt_without_shapes_gives_a_picture_too() -> None:
    assert share(opened(media.png("How are you?", 5)), (255, 255, 255)) < 0.99


@pytest.mark.parametrize(
    ("prompt", "description"),
    [
        ("Draw a red circle", "a red circle on a white background"),
        ("an orange ball and 3 blue boxes", "an orange circle and 3 blue squares on a white background"),
        ("red, green and blue stars", "a red star, a green star and a blue star on a white background"),
        ("a sun in a blue sky", "a yellow sun on a blue background"),
        ("two crosses, pink ones? no: two pink crosses", None),
    ],
)
def test_a_scene_is_described_in_words(prompt: str, description: str | None) -> None:
    words = scenes.describe(scenes.read(prompt, 1))
    assert words == description if description else "2 pink crosses" in words


@given(prompt=st.text(max_size=200), seed=st.integers(0, 2**64 - 1))
def test_any_prompt_has_a_scene_and_always_the_same(prompt: str, seed: int) -> None:
    scene = scenes.read(prompt, seed)
    assert 1 <= len(scene.things) <= scenes.MOST_THINGS
    assert scene == scenes.read(prompt, seed)


@settings(max_examples=15)
@given(size=st.integers(1, 300_000))
def test_a_picture_has_at_least_the_size_asked_for(size: int) -> None:
    content = media.png("a red circle", 1, size)
    assert size <= len(content) < size * 1.1 + 5000
    opened(content)


def test_a_large_picture_still_shows_the_prompt() -> None:
    image = opened(media.png("a red circle", 1, 500_000))
    assert image.getpixel((image.width // 2, image.height // 2)) == RED


@pytest.mark.parametrize("size", [0, 200_000])
def test_a_picture_is_the_same_each_time_and_another_with_another_seed(size: int) -> None:
    assert media.png("a red circle", 1, size) == media.png("a red circle", 1, size)
    assert media.png("a red circle", 1, size) != media.png("a red circle", 2, size)


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "flac"])
@pytest.mark.parametrize("size", [0, 300_000])
def test_a_sound_is_decodable_and_large_enough(audio_format: str, size: int) -> None:
    content = media.sound("One two three four five.", 1, audio_format, size)
    assert len(content) >= size
    assert seconds(content) > 0.8
    assert content == media.sound("One two three four five.", 1, audio_format, size)
    assert content != media.sound("One two three four five.", 2, audio_format, size)


def test_pcm16_is_the_body_of_the_wav() -> None:
    pcm = media.sound("Hello there.", 1, "pcm16")
    with wave.open(io.BytesIO(media.sound("Hello there.", 1, "wav"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.readframes(file.getnframes()) == pcm


@pytest.mark.parametrize("size", [0, 500_000])
def test_a_film_shows_the_scene_and_has_a_sound_track(size: int) -> None:
    content = media.mp4("a red circle", 1, size, seconds=1.0)
    assert len(content) >= size
    assert content == media.mp4("a red circle", 1, size, seconds=1.0)
    assert content != media.mp4("a red circle", 2, size, seconds=1.0)
    with av.open(io.BytesIO(content)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        frames = list(container.decode(video=0))
    assert len(frames) == 24
    middle = frames[12].to_image().getpixel((320, 180))
    assert all(abs(one - other) < 12 for one, other in zip(middle, RED, strict=True))
    with av.open(io.BytesIO(content)) as container:
        assert 0.9 < sum(frame.samples for frame in container.decode(audio=0)) / 24_000 < 1.2


@pytest.mark.parametrize("text", ["", "…", "zzz", "слово", "word " * 1000])
def test_any_text_has_a_sound_of_bounded_length(text: str) -> None:
    assert 0.1 < len(media.sound(text, 1, "pcm16")) / 48_000 < 60


def test_the_cache_gives_the_same_bytes_and_keeps_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = media.make
    monkeypatch.setattr(media, "make", lambda recipe: made.append(recipe) or real(recipe))
    cache = media.Cache(limit=150_000)
    one, two = (media.Picture(prompt="x", seed=seed, size=80_000) for seed in (1, 2))
    huge = media.Picture(prompt="x", seed=3, size=200_000)
    assert cache.make(one) == cache.make(one) == real(one)
    assert made == [one]
    cache.make(two)  # both together are over the limit: the older one is forgotten
    cache.make(two)
    cache.make(one)
    assert made == [one, two, one]
    cache.make(huge)
    cache.make(huge)
    assert made == [one, two, one, huge, huge]


def test_seeds_depend_on_model_prompt_seed_and_number() -> None:
    seeds = {
        media.seed_of("a", "b", None),
        media.seed_of("c", "b", None),
        media.seed_of("a", "c", None),
        media.seed_of("a", "b", 0),
        media.seed_of("a", "b", None, 1),
    }
    assert len(seeds) == 5
