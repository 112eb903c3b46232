"""Attached pictures: what comes out is the picture and nothing else, and what is none does not come out at all."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib

import psutil
import pytest
from PIL import Image

from polylogue.media import clean_picture
from polylogue.media.clean_picture import TOO_MANY_PIXELS, UNDECODABLE, cleaned
from tests.support.media_samples import swapped_profile, with_depth_map

PATIENCE_S = 60
SECRET = b"52.5200N13.4050E"


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    output = io.BytesIO()
    (image or Image.new("RGB", (40, 20), "teal")).save(output, kind, **options)
    return output.getvalue()


def with_position() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = SECRET.decode()
    return encoded("JPEG", exif=exif.tobytes(), comment=SECRET)


def test_position_comments_and_profiles_are_gone_and_the_picture_stands_upright() -> None:
    before = with_position()
    assert SECRET in before
    extension, after = cleaned(before)
    assert extension == "jpg"
    assert SECRET not in after
    with Image.open(io.BytesIO(after)) as image:
        assert image.size == (20, 40)
        assert not image.getexif()
        assert "comment" not in image.info


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_place_where_a_photo_was_taken_is_gone_whatever_its_kind(kind: str) -> None:
    exif = Image.Exif()
    place = exif.get_ifd(0x8825)  # GPS
    place[1], place[2] = "N", (52.0, 31.0, 12.34)
    place[3], place[4] = "E", (13.0, 24.0, 17.65)
    place[29] = SECRET.decode()
    exif.get_ifd(0x8769)[0x9286] = SECRET  # the owner's comment
    packet = b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
    before = encoded(kind, exif=exif.tobytes(), xmp=packet)
    assert SECRET in before
    with Image.open(io.BytesIO(before)) as image:
        assert image.getexif().get_ifd(0x8825)[1] == "N"
    after = cleaned(before)[1]
    assert SECRET not in after
    with Image.open(io.BytesIO(after)) as image:
        assert not image.getexif()
        assert not image.getexif().get_ifd(0x8825)
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)


def test_what_a_telephone_hangs_behind_a_photograph_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    before = with_depth_map(exif=exif.tobytes()) + SECRET
    extension, after = cleaned(before)
    assert extension == "jpg"
    assert SECRET not in after
    with Image.open(io.BytesIO(after)) as image:
        assert (image.format, image.size) == ("JPEG", (400, 200))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_colours_of_another_profile_become_those_of_the_web_before_it_is_gone(kind: str) -> None:
    red = Image.new("RGB", (16, 16), (200, 60, 60))
    with Image.open(io.BytesIO(cleaned(encoded(kind, red, icc_profile=swapped_profile()))[1])) as image:
        assert "icc_profile" not in image.info
        pixel = image.convert("RGB").getpixel((8, 8))
    assert pixel == pytest.approx((60, 200, 60), abs=40)


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    with Image.open(io.BytesIO(cleaned(encoded("PNG", Image.new("I;16", (9, 9), 32768)))[1])) as image:
        assert image.convert("L").getpixel((4, 4)) == pytest.approx(128, abs=2)


def test_text_chunks_and_what_hangs_behind_a_png_are_gone() -> None:
    chunk = b"tEXt" + b"Comment\0" + SECRET
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    plain = encoded("PNG")
    dirty = plain[:33] + text + plain[33:] + b"PK\x03\x04" + SECRET
    assert SECRET not in cleaned(dirty)[1]


@pytest.mark.parametrize(
    ("kind", "mode", "extension"),
    [
        ("PNG", "RGBA", "png"),
        ("PNG", "P", "png"),
        ("PNG", "I;16", "png"),
        ("PNG", "1", "png"),
        ("JPEG", "CMYK", "jpg"),
        ("JPEG", "L", "jpg"),
        ("WEBP", "RGBA", "webp"),
        ("GIF", "P", "png"),
    ],
)
def test_every_mode_of_every_kind_comes_out_as_a_picture_of_the_same_size(
    kind: str, mode: str, extension: str
) -> None:
    written, picture = cleaned(encoded(kind, Image.new(mode, (7, 5))))
    assert written == extension
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (7, 5)


def test_transparency_is_kept_and_a_moving_picture_becomes_its_first_one() -> None:
    _, clear = cleaned(encoded("PNG", Image.new("RGBA", (3, 3), (255, 0, 0, 0))))
    with Image.open(io.BytesIO(clear)) as image:
        assert image.getpixel((1, 1)) == (255, 0, 0, 0)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    _, still = cleaned(encoded("GIF", frames[0], save_all=True, append_images=frames[1:]))
    with Image.open(io.BytesIO(still)) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        assert getattr(image, "n_frames", 1) == 1


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of a single colour, small on the wire."""
    rows = zlib.compressobj(9)
    line = b"\0" + bytes(width // 8)
    data = b"".join(rows.compress(line) for _ in range(height)) + rows.flush()

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bomb(16_000, 16_000), TOO_MANY_PIXELS),
        (encoded("PNG")[:60], UNDECODABLE),
        (b"\x89PNG\r\n\x1a\n<script>alert(1)</script>", UNDECODABLE),
        (encoded("BMP"), UNDECODABLE),
        (b"", UNDECODABLE),
    ],
    ids=["256 megapixels", "cut off", "html behind a signature", "another kind", "nothing"],
)
def test_the_process_says_why_there_is_no_picture(data: bytes, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", clean_picture.__name__], input=data, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_the_process_cannot_write_files_and_leaves_no_dump() -> None:
    """It reads its input to the end, and so is there to be looked at until that comes."""
    with subprocess.Popen(
        [sys.executable, "-m", clean_picture.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        if sys.platform == "linux":
            process, until = psutil.Process(child.pid), time.monotonic() + PATIENCE_S
            while process.rlimit(psutil.RLIMIT_AS)[0] == psutil.RLIM_INFINITY:
                assert time.monotonic() < until
                time.sleep(0.01)
            assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.communicate(encoded("PNG"))[0].startswith(b"png\n")
