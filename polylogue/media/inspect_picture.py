"""Decodes every pixel of every frame of a picture, within the limits."""

from __future__ import annotations

from typing import BinaryIO

from PIL import ImageSequence

from polylogue.media.pictures import TooManyPixelsError, opened, upright_size
from polylogue.media.sniff import MediaKind
from polylogue.media.verdicts import BROKEN, Accepted, Limits, Refused


def inspected_picture(
    file: BinaryIO, kind: MediaKind, limits: Limits, *, provenance: bool
) -> Accepted | Refused:
    """Raises MemoryError."""
    try:
        with opened(file, kind.format, most_pixels=limits.most_pixels) as image:
            width, height = upright_size(image)
            frames, duration_ms = 0, 0.0
            for frame in ImageSequence.Iterator(image):
                frames += 1
                if frames > limits.most_frames:
                    most = f"{limits.most_frames:,}"
                    return Refused(
                        reason="too_many_frames",
                        message=f"The picture moves through more than the {most} frames that are allowed.",
                    )
                frame.load()
                duration_ms += float(frame.info.get("duration", 0) or 0)
    except TooManyPixelsError:
        most = f"{limits.most_pixels / 1_000_000:g}"
        return Refused(
            reason="too_many_pixels", message=f"The picture has more than the {most} million pixels allowed."
        )
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (Pillow raises anything; what is no picture is refused)
        return _broken(error)
    return Accepted(
        media_type="image",
        format=kind.format,
        content_type=kind.content_type,
        width=width,
        height=height,
        duration_ms=round(duration_ms) if frames > 1 else None,
        frames=frames,
        provenance=provenance,
    )


def _broken(error: Exception) -> Refused:
    if isinstance(error, OSError) and "truncated" in str(error):
        return Refused(reason="truncated", message="The picture ends too early; a part of it is missing.")
    return BROKEN
