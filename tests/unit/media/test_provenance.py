"""Files that say how they were made are recognised by it, and a generated original keeps saying so."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from polylogue.media.inspection import inspected
from polylogue.media.provenance import carries_provenance
from polylogue.media.verdicts import Accepted, Limits
from tests.support.media_samples import SAMPLES, encoded, png_chunk

LIMITS = Limits(most_pixels=40_000_000, most_frames=1000, time_s=20, memory_bytes=1 << 30)
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def png_with(name: bytes, body: bytes) -> bytes:
    plain = SAMPLES["png"]()
    return plain[:33] + png_chunk(name, body) + plain[33:]


def png_text(keyword: str) -> bytes:
    text = PngInfo()
    text.add_text(keyword, "a painted sea, steps: 20")
    return encoded("PNG", pnginfo=text)


def jpeg_with_jumbf() -> bytes:
    body = b"JP\0\x01\0\0\0\x01" + struct.pack(">I4s", 20, b"jumb") + bytes(12)
    plain = SAMPLES["jpg"]()
    return plain[:2] + b"\xff\xeb" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def behind(name: str, identifier: bytes) -> bytes:
    body = identifier + bytes(30)
    return SAMPLES[name]() + struct.pack(">I4s", len(body) + 8, b"uuid") + body


def riff_with(name: str, chunk: bytes) -> bytes:
    plain = SAMPLES[name]()
    body = plain[8:] + chunk + struct.pack("<I", 4) + b"abcd"
    return plain[:4] + struct.pack("<I", len(body)) + body


MARKED = {
    "C2PA in a PNG": ("png", png_with(b"caBX", b"\0\0\0\x10jumb" + bytes(8))),
    "XMP in a PNG": ("png", png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "a generator's text in a PNG": ("png", png_text("parameters")),
    "Software in a PNG": ("png", png_text("Software")),
    "C2PA in a JPEG": ("jpg", jpeg_with_jumbf()),
    "XMP in a JPEG": ("jpg", encoded("JPEG", xmp=XMP)),
    "XMP in a WebP": ("webp", encoded("WEBP", xmp=XMP)),
    "C2PA in a WebP": ("webp", riff_with("webp", b"C2PA")),
    "C2PA in a WAV": ("wav", riff_with("wav", b"C2PA")),
    "XMP in an AVIF": ("avif", encoded("AVIF", xmp=XMP)),
    "C2PA in an MP4": ("mp4", behind("mp4", C2PA_UUID)),
    "C2PA in a MOV": ("mov", behind("mov", C2PA_UUID)),
}


@pytest.mark.parametrize(("media_format", "data"), MARKED.values(), ids=MARKED)
def test_a_mark_is_found_and_the_file_is_accepted_as_it_is(media_format: str, data: bytes) -> None:
    verdict = inspected(io.BytesIO(data), LIMITS)
    assert isinstance(verdict, Accepted), verdict
    assert (verdict.format, verdict.provenance) == (media_format, True)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_says_nothing_of_itself_carries_none(name: str) -> None:
    assert carries_provenance(io.BytesIO(SAMPLES[name]()), name.partition(" ")[0]) is False


def test_a_photographers_title_is_no_word_on_how_it_was_made() -> None:
    text = PngInfo()
    text.add_text("Title", "A sea")
    assert not carries_provenance(io.BytesIO(encoded("PNG", Image.new("L", (2, 2)), pnginfo=text)), "png")


def test_marks_behind_the_end_of_a_png_do_not_count() -> None:
    data = SAMPLES["png"]() + png_chunk(b"caBX", bytes(8))
    assert not carries_provenance(io.BytesIO(data), "png")
