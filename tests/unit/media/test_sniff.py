"""What bytes are: real files, files that pretend, and files that only begin like one."""

from __future__ import annotations

import io
import struct
import wave

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from polylogue.media.dimensions import image_size
from polylogue.media.sniff import HEAD_BYTES, sniff

SIZE = (37, 21)


def picture(image_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", SIZE, "red").save(out, image_format, **options)
    return out.getvalue()


def sound(container: str, codec: str, rate: int = 44_100) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for number in range(20):
            frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = rate, number * 1024
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            for piece in resampler.resample(frame):
                file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


def film(container: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64)))))
        file.mux(stream.encode(None))
    return out.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(int(24_000 * seconds) * 2))
    return out.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08free"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: picture("PNG"), "png"),
        (lambda: picture("JPEG"), "jpg"),
        (lambda: picture("JPEG", progressive=True, icc_profile=bytes(60_000)), "jpg"),
        (lambda: picture("WEBP"), "webp"),
        (lambda: picture("WEBP", lossless=True), "webp"),
        (lambda: picture("WEBP", exif=b"Exif\0\0" + bytes(20)), "webp"),
        (lambda: picture("GIF"), "gif"),
        (lambda: picture("AVIF"), "avif"),
    ],
)
def test_recognises_pictures_and_their_size(make, expected: str) -> None:
    data = make()
    kind = sniff(data)
    assert kind is not None
    assert (kind.media_type, kind.format) == ("image", expected)
    assert image_size(data, kind.format) == SIZE


@pytest.mark.parametrize(
    ("make", "media_type", "expected", "content_type"),
    [
        (wav, "audio", "wav", "audio/wav"),
        (lambda: sound("mp3", "libmp3lame"), "audio", "mp3", "audio/mpeg"),
        (lambda: sound("mp3", "libmp3lame", 22_050), "audio", "mp3", "audio/mpeg"),
        (lambda: without_id3(sound("mp3", "libmp3lame")), "audio", "mp3", "audio/mpeg"),
        (lambda: without_id3(sound("mp3", "libmp3lame", 11_025)), "audio", "mp3", "audio/mpeg"),
        (lambda: sound("adts", "aac"), "audio", "aac", "audio/aac"),
        (lambda: sound("ipod", "aac"), "audio", "m4a", "audio/mp4"),
        (lambda: sound("ogg", "libopus", 48_000), "audio", "ogg", "audio/ogg"),
        (lambda: sound("flac", "flac"), "audio", "flac", "audio/flac"),
        (lambda: film("mp4", "mpeg4"), "video", "mp4", "video/mp4"),
        (lambda: film("mov", "mpeg4"), "video", "mov", "video/quicktime"),
        (lambda: film("webm", "libvpx"), "video", "webm", "video/webm"),
    ],
)
def test_recognises_sounds_and_films(make, media_type: str, expected: str, content_type: str) -> None:
    kind = sniff(make())
    assert kind is not None
    assert (kind.media_type, kind.format, kind.content_type) == (media_type, expected, content_type)


def without_id3(data: bytes) -> bytes:
    assert data.startswith(b"ID3")
    size = int.from_bytes(bytes([0]), "big")
    for byte in data[6:10]:
        size = size << 7 | byte
    return data[10 + size :]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ftyp(b"M4A ", b"isom"), "m4a"),
        (ftyp(b"isom", b"M4A "), "mp4"),
        (ftyp(b"mif1", b"avif", b"miaf"), "avif"),
        (ftyp(b"mif1", b"heic"), None),
        (ftyp(b"heic", b"mif1"), None),
        (ftyp(b"qt  "), "mov"),
        (ftyp(b"crx ", b"isom"), None),
        (ftyp(b"    "), None),
        (b"\0\0\0\x02ftypisom\0\0\0\0", None),
        (b"\xff\xff\xff\xffftypisom\0\0\0\0", None),
    ],
)
def test_tells_the_brands_of_iso_media_apart(data: bytes, expected: str | None) -> None:
    kind = sniff(data)
    assert (kind.format if kind else None) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89",
        b"<html><body>no</body></html>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        b"GIFs are pictures, this is text",
        b"ID3 is a tag, this is text, and long enough to be taken for one",
        b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"<html><script>alert(1)</script></html>",
        b"\x89PNG and nothing more of it",
        b"\xff\xfb\x00\x00" + bytes(400),
        b"\xff\xfb\x90\x64" + b"<html>" * 200,
        b"\xff\xf1" + b"<html>" * 20,
        b"\xff\xfe<\0h\0t\0m\0l\0>\0",
        b"RIFF\x24\0\0\0WAVE<html>",
        b"RIFF\x24\0\0\0AVI LIST",
        b"RIFF\x24\0\0\0WEBP<svg>",
        b"OggS\0\x02" + bytes(20) + b"\x01\x2a\x80theora",
        b"fLaC<html>",
        b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x7fELF",
        b"MZ\x90\0",
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
        b"\0\0\x01\0\x01\0",
        b"a few bytes",
    ],
)
def test_everything_else_is_nothing(data: bytes) -> None:
    assert sniff(data) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for start in (
        b"",
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WEBPVP8X",
        b"\x89PNG\r\n\x1a\n",
        b"OggS\0",
        b"ID3",
        b"\xff\xfb",
    ):
        kind = sniff(start + data)
        if kind is not None:
            image_size(start + data, kind.format)
    for image_format in ("png", "jpg", "gif", "webp", "avif", "wav"):
        image_size(data, image_format)


def test_what_lies_behind_the_head_changes_nothing() -> None:
    data = picture("PNG") + bytes(HEAD_BYTES)
    assert sniff(data) == sniff(data[:HEAD_BYTES])
