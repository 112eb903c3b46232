"""The media of the wire cases: small, real, always the same."""

from __future__ import annotations

import io
from functools import cache

import pybase64

from polylogue.simulator import films, pictures, sounds

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><circle cx="4" cy="4" r="3"/></svg>'


@cache
def picture(number: int = 1) -> bytes:
    return pictures.compact("a red circle", number, 32, 32)


@cache
def same_pixels() -> bytes:
    """The first picture, encoded differently."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(picture())).save(out, "PNG", compress_level=1)
    return out.getvalue()


@cache
def photo() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(picture())).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@cache
def sound(audio_format: str = "pcm16") -> bytes:
    return sounds.encode("Hi", 1, audio_format)


def samples(start: int, stop: int) -> bytes:
    return sound("pcm16")[start:stop]


def wav(pcm: bytes) -> bytes:
    return sounds.wav(pcm)


@cache
def film() -> bytes:
    return films.mp4("a red circle", 1, seconds=0.5)


def b64(data: bytes) -> str:
    return pybase64.b64encode_as_string(data)


def data_url(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{b64(data)}"
