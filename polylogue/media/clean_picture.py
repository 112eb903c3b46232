"""A process of its own that reads a picture from standard input and writes the same picture without any metadata.

A decoder that is attacked or bombed takes only this process with it: memory and time have limits. Standard output is
the extension, a line's end, and the picture; the exit code is one of those below.
"""

from __future__ import annotations

import io
import resource
import sys
import warnings

from polylogue.media.isolation import isolate

MOST_PIXELS = 40_000_000
MOST_MEMORY_BYTES = 2 * 1024**3
MOST_SECONDS = 20

UNDECODABLE, TOO_MANY_PIXELS = 3, 4
_JPEG_QUALITY = 92
_TAKEN = ("PNG", "JPEG", "WEBP", "GIF")
# What becomes of each kind that is taken; moving pictures become their first one. MPO is what Pillow calls a JPEG with
# another picture behind it, such as the depth map of a telephone.
_WRITTEN = {
    "PNG": ("PNG", "png"),
    "JPEG": ("JPEG", "jpg"),
    "MPO": ("JPEG", "jpg"),
    "WEBP": ("WEBP", "webp"),
    "GIF": ("PNG", "png"),
}


class _TooManyPixelsError(Exception):
    pass


def cleaned(data: bytes) -> tuple[str, bytes]:
    """Extension and bytes. Raises whatever the decoder raises."""
    from PIL import Image, ImageOps

    from polylogue.media.colours import web_colours

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.MAX_IMAGE_PIXELS = MOST_PIXELS
        with Image.open(io.BytesIO(data), formats=_TAKEN) as source:
            written, extension = _WRITTEN[source.format or ""]
            if source.width * source.height > MOST_PIXELS:
                raise _TooManyPixelsError
            source.load()
            # The camera's position goes with the metadata, so the picture itself must be turned.
            upright = ImageOps.exif_transpose(source)
        # The profile goes with the metadata, too, so the colours themselves are turned into those of the web.
        plain = upright if written == "JPEG" and upright.mode == "L" else web_colours(upright)
        bare = Image.frombytes(
            plain.mode, plain.size, plain.tobytes()
        )  # pixels, and nothing that came with them
        output = io.BytesIO()
        options = {"PNG": {}, "JPEG": {"quality": _JPEG_QUALITY}, "WEBP": {"quality": _JPEG_QUALITY}}
        bare.save(output, written, **options[written])
    return extension, output.getvalue()


def main() -> int:
    isolate()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    try:
        extension, picture = cleaned(sys.stdin.buffer.read())
    except Exception as error:  # noqa: BLE001 (decoders raise anything, and any of it means the same)
        too_many = isinstance(error, _TooManyPixelsError) or "DecompressionBomb" in type(error).__name__
        return TOO_MANY_PIXELS if too_many else UNDECODABLE
    sys.stdout.buffer.write(extension.encode() + b"\n" + picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
