"""Opens pictures the one careful way: only the sniffed format, warnings are errors, and never too many pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import GifImagePlugin, Image, JpegImagePlugin

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "avif": "AVIF"}


class TooManyPixelsError(Exception):
    """The picture says that it is larger than the limit; nothing of it was decoded."""


@contextmanager
def opened(file: BinaryIO, image_format: str, *, most_pixels: int) -> Iterator[Image.Image]:
    """Raises TooManyPixelsError, and whatever Pillow raises."""
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.MAX_IMAGE_PIXELS = most_pixels
        # Frames that share their colours stay indexed: four times faster than turning each into RGB.
        GifImagePlugin.LOADING_STRATEGY = GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY
        try:
            image = (
                _first(file) if image_format == "jpg" else Image.open(file, formats=(FORMATS[image_format],))
            )
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise TooManyPixelsError from None
        with image:
            if image.width * image.height > most_pixels:
                raise TooManyPixelsError
            try:
                yield image
            except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                raise TooManyPixelsError from None


def _first(file: BinaryIO) -> Image.Image:
    """Telephones hang a depth map or a second view behind a JPEG; `Image.open` takes that for a picture that moves."""
    return JpegImagePlugin.JpegImageFile(file)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as it is shown: a camera on its side says so beside the pixels."""
    turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
    return (image.height, image.width) if turned else image.size
