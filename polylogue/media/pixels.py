"""A hash of what a picture shows: the same for the same pixels, whatever the file around them."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from PIL import ImageOps

from polylogue.media.pictures import FORMATS, opened
from polylogue.media.sniff import HEAD_BYTES, sniff
from polylogue.media.verdicts import Limits


def fingerprint(file: BinaryIO, limits: Limits) -> str | None:
    """Size and pixels, as RGBA and upright; None for what moves or is no picture. Raises whatever a decoder raises."""
    kind = sniff(file.read(HEAD_BYTES))
    if kind is None or kind.format not in FORMATS:
        return None
    with opened(file, kind.format, most_pixels=limits.most_pixels) as image:
        if getattr(image, "n_frames", 1) > 1:
            return None
        deep = image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"}
        upright = ImageOps.exif_transpose(image)
        # Sixteen bits or four inks lose something on the way to RGBA: they are only compared with their own kind.
        plain = upright if deep else upright.convert("RGBA")
        digest = hashlib.sha256(f"{plain.mode} {plain.width}x{plain.height} ".encode())
        digest.update(plain.tobytes())
    return digest.hexdigest()
