"""Makes the smaller versions of a medium: new files from decoded pixels, upright, with nothing else of the original.

A version that cannot be made is left out; the medium itself is stored already.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, ImageOps

from polylogue.media import pictures
from polylogue.media.colours import web_colours
from polylogue.media.poster import poster_frame
from polylogue.media.verdicts import Accepted, Limits, MadeRendition, RenditionName
from polylogue.media.waveform import waveform

LONGEST_SIDE, THUMBNAIL_SIDE = 1280, 320
_QUALITY = 80
_METHOD = 1  # of 0 to 6: a third less time than 2 for files of the same size; 4 takes three times as long for 3 per cent less


def rendered(file: BinaryIO, facts: Accepted, limits: Limits) -> Iterator[MadeRendition]:
    """Raises MemoryError."""
    # Whatever stops one version, those before it are there.
    with contextlib.suppress(Exception):
        match facts.media_type:
            case "image":
                yield from _of_picture(file, facts, limits)
            case "video":
                poster = poster_frame(file, facts)
                poster.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
                yield _webp("poster", poster)
            case "audio":
                peaks = waveform(file, facts)
                yield MadeRendition(name="waveform", content_type="application/json", data=peaks)


def _of_picture(file: BinaryIO, facts: Accepted, limits: Limits) -> Iterator[MadeRendition]:
    moves = facts.frames > 1
    side = THUMBNAIL_SIDE if moves else LONGEST_SIDE  # what moves would stand still at full size
    with pictures.opened(file, facts.format, most_pixels=limits.most_pixels) as image:
        image.load() if moves else image.draft("RGB", (side * 2, side * 2))
        small = web_colours(image)
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        # The camera's position goes with the metadata, so the picture itself is turned.
        orientation = image.getexif().get(0x0112, 1)
    if not moves:
        yield _webp("webp", _turned(small, orientation))
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    yield _webp("thumbnail", _turned(small, orientation))


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.info = {"exif": exif.tobytes()}
    return ImageOps.exif_transpose(image)


def _webp(name: RenditionName, image: Image.Image) -> MadeRendition:
    output = io.BytesIO()
    bare = Image.frombytes(image.mode, image.size, image.tobytes())  # pixels, and nothing that came with them
    bare.save(output, "WEBP", quality=_QUALITY, method=_METHOD)
    return MadeRendition(
        name=name,
        content_type="image/webp",
        data=output.getvalue(),
        width=image.width,
        height=image.height,
    )
