"""Every medium that the simulator can make: pure functions of their arguments, and a small memory of the last results."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from polylogue.simulator import films, pictures, sounds

CACHE_BYTES = 128 * 1024 * 1024  # one medium of the largest size, or many small ones


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The recipe of a PNG. A `size` above 0 replaces width and height."""

    prompt: str
    seed: int
    size: int = 0
    width: int = 1024
    height: int = 1024

    @property
    def content_type(self) -> str:
        return "image/png"


@dataclass(frozen=True, kw_only=True)
class Sound:
    """The recipe of a sound in which something like `text` is said."""

    text: str
    seed: int
    format: str = "mp3"
    size: int = 0

    @property
    def content_type(self) -> str:
        return sounds.FORMATS[self.format]


@dataclass(frozen=True, kw_only=True)
class Film:
    """The recipe of a short MP4 with sound."""

    prompt: str
    seed: int
    size: int = 0

    @property
    def content_type(self) -> str:
        return "video/mp4"


Recipe = Picture | Sound | Film


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What is remembered of a medium that went out."""

    media_type: str
    content_type: str
    sha256: str
    size_bytes: int


def seed_of(model: str, prompt: str, seed: int | None, number: int = 0) -> int:
    """The seed of the `number`-th medium of an answer."""
    words = "\0".join((model, prompt, "" if seed is None else str(seed), str(number)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8])


def png(prompt: str, seed: int, size: int = 0, *, width: int = 1024, height: int = 1024) -> bytes:
    if size > 0:
        return pictures.bulky(prompt, seed, size)
    return pictures.compact(prompt, seed, width, height)


def sound(text: str, seed: int, audio_format: str = "mp3", size: int = 0) -> bytes:
    return sounds.encode(text, seed, audio_format, size)


def mp4(prompt: str, seed: int, size: int = 0, *, seconds: float = 2.0) -> bytes:
    return films.mp4(prompt, seed, seconds=seconds, size=size)


def make(recipe: Recipe) -> bytes:
    match recipe:
        case Picture():
            return png(recipe.prompt, recipe.seed, recipe.size, width=recipe.width, height=recipe.height)
        case Sound():
            return sound(recipe.text, recipe.seed, recipe.format, recipe.size)
        case Film():
            return mp4(recipe.prompt, recipe.seed, recipe.size)


def sent(recipe: Recipe, content: bytes) -> Sent:
    return Sent(
        media_type={Picture: "image", Sound: "audio", Film: "video"}[type(recipe)],
        content_type=recipe.content_type,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


class Cache:
    """Remembers the media made last, up to a number of bytes. Called from several threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._media: OrderedDict[Recipe, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def make(self, recipe: Recipe) -> bytes:
        with self._lock:
            if (known := self._media.get(recipe)) is not None:
                self._media.move_to_end(recipe)
                return known
        content = make(recipe)
        with self._lock:
            if recipe not in self._media and len(content) <= self._limit:
                self._media[recipe] = content
                self._held += len(content)
                while self._held > self._limit:
                    self._held -= len(self._media.popitem(last=False)[1])
        return content
