"""Small real files of every accepted type, made when they are asked for."""

from __future__ import annotations

import base64
import io
import math
import struct
import wave
import zlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import Any

import av
from PIL import Image, ImageCms

RATE = 48_000


def picture(width: int = 400, height: int = 200, *, seed: int = 1) -> Image.Image:
    """Something that is different everywhere, and the same every time."""
    red = Image.linear_gradient("L").resize((width, height)).rotate(seed)
    green = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (red, green, red.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    output = io.BytesIO()
    (image or picture()).save(output, kind, **options)
    return output.getvalue()


def plain(colour: str = "navy") -> bytes:
    """A picture of one colour, 64 × 48 pixels."""
    return encoded("PNG", Image.new("RGB", (64, 48), colour))


def attached(data: bytes) -> dict[str, str]:
    """A picture as a prompt carries it."""
    return {"mime_type": "image/png", "base64_data": base64.b64encode(data).decode()}


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def moving(kind: str, frames: int = 3, *, side: int = 40) -> bytes:
    images = [Image.new("RGB", (side, side), (number * 7 % 256, 80, 120)) for number in range(frames)]
    return encoded(kind, images[0], save_all=True, append_images=images[1:], duration=100, loop=0)


def with_depth_map(**options: Any) -> bytes:
    """What a telephone makes: a JPEG with a second, smaller picture behind its end."""
    return encoded("MPO", save_all=True, append_images=[picture(100, 50, seed=2)], **options)


def swapped_profile() -> bytes:
    """A colour profile in which red and green have changed places: whoever does not heed it shows wrong colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp ", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp ", b"gXYZ", 1)


@cache
def wav(seconds: float = 3.0, *, rate: int = RATE, channels: int = 2, loud: float = 0.5) -> bytes:
    """A tone that grows from silence to `loud`."""
    output = io.BytesIO()
    count = int(seconds * rate)
    with wave.open(output, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        samples = (round(32767 * loud * at / count * math.sin(at / 9)) for at in range(count))
        file.writeframes(b"".join(struct.pack("<h", sample) * channels for sample in samples))
    return output.getvalue()


def sound(container: str, codec: str, seconds: float = 3.0, **options: str) -> bytes:
    output = io.BytesIO()
    with (
        av.open(io.BytesIO(wav(seconds))) as source,
        av.open(output, "w", format=container, options=options) as target,
    ):
        stream: Any = target.add_stream(codec, rate=RATE)
        stream.layout = "stereo"
        stream.format = stream.codec_context.codec.audio_formats[0]
        stream.codec_context.open()
        resampler = av.AudioResampler(
            format=stream.format, layout="stereo", rate=RATE, frame_size=stream.frame_size or None
        )
        for frame in (*source.decode(audio=0), None):
            for piece in resampler.resample(frame):
                target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    return output.getvalue()


def film(
    container: str,
    codec: str,
    *,
    seconds: float = 3.0,
    size: tuple[int, int] = (320, 180),
    images: Sequence[Image.Image] | None = None,
    **options: str,
) -> bytes:
    """Ten frames a second; the first one is dark, unless others are given."""
    frames = images or [
        picture(*size, seed=number) if number else Image.new("RGB", size)
        for number in range(int(seconds * 10))
    ]
    output = io.BytesIO()
    with av.open(output, "w", format=container, options=options) as target:
        stream: Any = target.add_stream(codec, rate=Fraction(10))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for image in frames:
            target.mux(stream.encode(av.VideoFrame.from_image(image)))
        target.mux(stream.encode(None))
    return output.getvalue()


def aac_adts() -> bytes:
    return sound("adts", "aac")


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    "png": cache(partial(encoded, "PNG")),
    "jpg": cache(partial(encoded, "JPEG", quality=90)),
    "webp": cache(partial(encoded, "WEBP", quality=90)),
    "gif": cache(partial(moving, "GIF")),
    "avif": cache(partial(encoded, "AVIF")),
    "mp3": cache(partial(sound, "mp3", "libmp3lame")),
    "mp3 without tags": cache(partial(sound, "mp3", "libmp3lame", id3v2_version="0", write_xing="0")),
    "wav": cache(wav),
    "ogg": cache(partial(sound, "ogg", "libopus")),
    "flac": cache(partial(sound, "flac", "flac")),
    "m4a": cache(partial(sound, "ipod", "aac")),
    "aac": cache(aac_adts),
    "mp4": cache(partial(film, "mp4", "libx264")),
    "webm": cache(partial(film, "webm", "libvpx-vp9")),
    "mov": cache(partial(film, "mov", "libx264")),
}


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_zeros(width: int, height: int) -> bytes:
    """A valid PNG of a single colour: small on the wire, whatever its size."""
    rows = zlib.compressobj(9)
    line = b"\0" + bytes((width + 7) // 8)
    data = b"".join(rows.compress(line) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def gif_of_frames(count: int) -> bytes:
    """Frames of one pixel, some twenty bytes each."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"!\xf9\x04\x04\x01\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return screen + frame * count + b";"


@cache
def slow_gif(frames: int = 1000, side: int = 1600) -> bytes:
    """Takes a decoder some seconds, and nobody long to make: the same large frame again and again."""
    whole = encoded("GIF", Image.new("P", (side, side), 7))
    begin = 13 + (3 << ((whole[10] & 7) + 1))
    return whole[:begin] + whole[begin:-1] * frames + b";"
