"""Makes a short film of a scene with a spoken sound track, as MP4; the same arguments always give the same bytes."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylogue.simulator import pictures, sounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

FRAMES_PER_S = 24
WIDTH, HEIGHT = 640, 360
AAC_FRAME = 1024  # samples
_BOX_HEADER = 8  # bytes: length and name of an MP4 box


def _frames(prompt: str, seed: int, count: int) -> Iterator[Image.Image]:
    """The camera moves slowly over the drawing, from left to right and closer."""
    drawing = pictures.draw(prompt, seed, WIDTH * 3 // 2, HEIGHT * 3 // 2)
    for number in range(count):
        progress = number / max(1, count - 1)
        zoom = 1 - 0.25 * progress
        width, height = drawing.width * zoom, drawing.height * zoom
        left, top = (drawing.width - width) * progress, (drawing.height - height) / 2
        yield drawing.resize((WIDTH, HEIGHT), box=(left, top, left + width, top + height))


def _add_sound(file: Any, stream: Any, pcm: bytes) -> None:
    import av

    for start in range(0, len(pcm) // 2, AAC_FRAME):
        frame = av.AudioFrame(format="s16", layout="mono", samples=AAC_FRAME)
        part = pcm[start * 2 : (start + AAC_FRAME) * 2]
        frame.planes[0].update(part.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts = sounds.RATE, start
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _write(path: Path, prompt: str, seed: int, seconds: float) -> None:
    import av

    bare = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=bare) as file:
        # One thread, because the work of several is divided differently from machine to machine.
        video = file.add_stream("libx264", rate=FRAMES_PER_S, options={"preset": "veryfast", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = file.add_stream("aac", rate=sounds.RATE)
        audio.layout = "mono"
        count = max(1, round(seconds * FRAMES_PER_S))
        for number, image in enumerate(_frames(prompt, seed, count)):
            frame = av.VideoFrame.from_image(image)
            frame.pts = number
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        length = 2 * round(seconds * sounds.RATE)
        pcm = sounds.encode(prompt, seed, "pcm16")[:length].ljust(length, b"\0")
        _add_sound(file, audio, pcm)


def mp4(prompt: str, seed: int, *, seconds: float = 2.0, size: int = 0) -> bytes:
    """At least `size` bytes: what is missing is filled with a box that players skip."""
    # The index is moved to the front in a second pass, which needs a file.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        _write(path, prompt, seed, seconds)
        film = path.read_bytes()
    if len(film) >= size:
        return film
    filling = max(_BOX_HEADER, size - len(film))
    return film + struct.pack(">I4s", filling, b"free") + b"\0" * (filling - _BOX_HEADER)
