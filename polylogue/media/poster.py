"""The picture that stands for a film before it plays."""

from __future__ import annotations

import contextlib
from typing import Any, BinaryIO

import av
from PIL import Image

from polylogue.media.streams_of import opened, sound_and_film
from polylogue.media.verdicts import Accepted

_AT_MOST_S = 1.0  # films fade in; a tenth into the film, and no later than this, there is something to see


def poster_frame(file: BinaryIO, facts: Accepted) -> Image.Image:
    """Upright. Raises whatever the library raises."""
    with opened(file, facts.format) as container:
        _, film = sound_and_film(container)
        wanted_s = min(_AT_MOST_S, (facts.duration_ms or 0) / 10_000)
        frame: Any = None
        with contextlib.suppress(av.FFmpegError):
            for frame in container.decode(film):
                if frame.time is None or frame.time >= wanted_s:
                    break
        if frame is None:
            raise ValueError("the film has no frame")
        picture: Image.Image = frame.to_image()
        # The library counts against the clock, as Pillow does.
        return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 else picture
