"""What a file is, and why one is refused: bombs, polyglots, cut files, and every accepted type."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from polylogue.media.inspection import inspected
from polylogue.media.renditions import rendered
from polylogue.media.verdicts import Accepted, Limits, Refused
from tests.support.media_samples import (
    SAMPLES,
    encoded,
    film,
    gif_of_frames,
    moving,
    picture,
    png_of_zeros,
    sound,
    with_depth_map,
)

LIMITS = Limits(most_pixels=40_000_000, most_frames=1000, time_s=20, memory_bytes=1 << 30)
SCRIPT = b"<script>alert(1)</script>"

FACTS: dict[str, tuple[str, str, str | None]] = {
    "png": ("image", "image/png", None),
    "jpg": ("image", "image/jpeg", None),
    "webp": ("image", "image/webp", None),
    "gif": ("image", "image/gif", None),
    "avif": ("image", "image/avif", None),
    "mp3": ("audio", "audio/mpeg", "mp3"),
    "mp3 without tags": ("audio", "audio/mpeg", "mp3"),
    "wav": ("audio", "audio/wav", "pcm_s16le"),
    "ogg": ("audio", "audio/ogg", "opus"),
    "flac": ("audio", "audio/flac", "flac"),
    "m4a": ("audio", "audio/mp4", "aac"),
    "aac": ("audio", "audio/aac", "aac"),
    "mp4": ("video", "video/mp4", "h264"),
    "webm": ("video", "video/webm", "vp9"),
    "mov": ("video", "video/quicktime", "h264"),
}


def look(data: bytes, limits: Limits = LIMITS) -> Accepted | Refused:
    return inspected(io.BytesIO(data), limits)


def accepted(data: bytes, limits: Limits = LIMITS) -> Accepted:
    verdict = look(data, limits)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def reason(data: bytes, limits: Limits = LIMITS) -> str:
    verdict = look(data, limits)
    assert isinstance(verdict, Refused), verdict
    assert verdict.message.endswith(".")
    return verdict.reason


@pytest.mark.parametrize("name", SAMPLES)
def test_every_accepted_type_is_known_with_its_size_length_and_codec(name: str) -> None:
    facts = accepted(SAMPLES[name]())
    assert (facts.media_type, facts.content_type, facts.codec) == FACTS[name]
    assert facts.format == name.partition(" ")[0]
    sizes = {"image": (40, 40) if name == "gif" else (400, 200), "video": (320, 180), "audio": (None, None)}
    assert (facts.width, facts.height) == sizes[facts.media_type]
    if facts.media_type != "image":
        assert facts.duration_ms == pytest.approx(3000, abs=60)
    assert facts.provenance is False


@pytest.mark.parametrize("kept", [0.23, 0.51, 0.77, 0.95], ids=lambda part: f"{part:.0%}")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_file_of_each_type_is_refused(name: str, kept: float) -> None:
    data = SAMPLES[name]()
    expected = {"truncated", "undecodable"} if name == "flac" else {"truncated"}
    assert reason(data[: int(len(data) * kept)]) in expected


@pytest.mark.parametrize("name", ["png", "webp", "gif", "avif", "mp4", "mov", "m4a", "webm", "ogg", "wav"])
def test_a_file_with_a_structure_may_not_even_miss_its_last_bytes(name: str) -> None:
    assert reason(SAMPLES[name]()[:-1]) == "truncated"


def test_a_flac_may_not_miss_its_last_frame() -> None:
    whole = sound("flac", "flac", 20.0)
    assert accepted(whole).duration_ms == 20_000
    assert reason(whole[: int(len(whole) * 0.99)]) == "truncated"


def test_a_film_whose_table_of_samples_is_gone_is_truncated() -> None:
    whole = SAMPLES["mp4"]()
    assert reason(whole[: whole.index(b"moov") - 4]) == "truncated"


def test_a_png_of_12_kb_and_256_megapixels_is_refused_without_decoding_it() -> None:
    bomb = png_of_zeros(16_000, 16_000)
    assert len(bomb) < 40_000
    # With so little room it could only be refused by what its header says.
    assert reason(bomb) == "too_many_pixels"


def test_a_gif_of_100_000_frames_is_refused() -> None:
    assert reason(gif_of_frames(100_000)) == "too_many_frames"


def test_a_moving_picture_within_the_cap_counts_its_frames_and_its_time() -> None:
    for kind in ("GIF", "WEBP", "PNG"):
        facts = accepted(moving(kind, 7))
        assert (facts.frames, facts.duration_ms) == (7, 700)
    few = Limits(most_pixels=40_000_000, most_frames=6, time_s=20, memory_bytes=1 << 30)
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        assert reason(moving(kind, 7), few) == "too_many_frames"


def test_films_and_pictures_above_the_pixel_cap_are_refused() -> None:
    small = Limits(most_pixels=50_000, most_frames=10, time_s=20, memory_bytes=1 << 30)
    assert reason(SAMPLES["mp4"](), small) == "too_many_pixels"
    assert reason(SAMPLES["avif"](), small) == "too_many_pixels"


def test_html_behind_the_signature_of_a_png_is_refused() -> None:
    assert reason(b"\x89PNG\r\n\x1a\n" + SCRIPT) == "unsupported_type"
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    assert reason(header + b"\0\0\0\0" + SCRIPT) in {"truncated", "undecodable"}


def test_svg_html_and_whatever_else_is_not_on_the_list_is_refused() -> None:
    for data in (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!DOCTYPE html>" + SCRIPT,
        b"%PDF-1.7",
        encoded("BMP"),
        encoded("TIFF"),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nhttp://127.0.0.1/secret.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ):
        assert reason(data) == "unsupported_type"
    assert reason(b"") == "empty"


def script_gif() -> bytes:
    """Reads as `GIF89a/*…*/=1;alert(1)` to a script engine: the width is `/*`, a comment block holds the end."""
    image = bytearray(encoded("GIF", Image.new("P", (0x2A2F, 1))))
    assert image[6:8] == b"/*"
    body = b"*/=1;alert(1)//"
    return bytes(image[:-1]) + b"!\xfe" + bytes([len(body)]) + body + b"\0;"


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (SAMPLES["png"]() + SCRIPT, "image/png"),
        (script_gif(), "image/gif"),
        (SAMPLES["jpg"]() + b"PK\x03\x04" + SCRIPT, "image/jpeg"),
    ],
    ids=["PNG with HTML behind its end", "GIF that is a script", "JPEG with a zip behind its end"],
)
def test_a_polyglot_is_the_picture_that_it_is_and_its_renditions_leave_the_stowaway_behind(
    data: bytes, content_type: str
) -> None:
    facts = accepted(data)
    # Served with this type, which is one of ours and never the sender's, nothing takes it for a script or a page.
    assert facts.content_type == content_type
    made = list(rendered(io.BytesIO(data), facts, LIMITS))
    assert {rendition.name for rendition in made} == {"webp", "thumbnail"}
    for rendition in made:
        assert b"alert" not in rendition.data
        assert b"PK\x03\x04" not in rendition.data


def test_a_picture_on_its_side_has_the_size_at_which_it_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = accepted(encoded("JPEG", exif=exif.tobytes()))
    assert (facts.width, facts.height) == (200, 400)


def test_a_container_of_films_that_holds_only_sound_is_sound() -> None:
    facts = accepted(sound("mp4", "aac"))
    assert (facts.media_type, facts.content_type) == ("audio", "audio/mp4")
    facts = accepted(sound("webm", "libopus"))
    assert (facts.media_type, facts.content_type) == ("audio", "audio/webm")


def test_a_codec_that_is_not_on_the_list_is_refused() -> None:
    assert reason(film("mov", "jpeg2000", seconds=0.3)) == "unsupported_codec"


def test_damage_at_the_beginning_is_found_where_the_structure_is_whole() -> None:
    for name in ("png", "mp4"):
        data = bytearray(SAMPLES[name]())
        begin = data.index(b"mdat") + 4 if name == "mp4" else len(data) // 3
        data[begin : begin + 3000] = bytes(min(3000, len(data) - begin))
        assert reason(bytes(data)) in {"undecodable", "truncated"}


def test_a_stream_whose_writer_could_not_know_its_length_is_whole() -> None:
    streamed = bytearray(SAMPLES["wav"]())
    at = streamed.index(b"data") + 4
    for length in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        streamed[at : at + 4] = length
        streamed[4:8] = length
        assert accepted(bytes(streamed)).duration_ms == 3000
    live = film("webm", "libvpx-vp9", live="1")
    assert accepted(live).duration_ms == pytest.approx(3000, abs=150)


def test_a_photograph_with_a_depth_map_behind_it_is_one_picture_that_stands_still() -> None:
    facts = accepted(with_depth_map())
    assert (facts.format, facts.frames, facts.duration_ms) == ("jpg", 1, None)
    assert (facts.width, facts.height) == (400, 200)


def test_pictures_of_one_pixel_and_of_odd_modes_are_accepted() -> None:
    for image in (Image.new("RGB", (1, 1)), picture(3, 2).convert("CMYK")):
        assert accepted(encoded("JPEG", image)).frames == 1
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        assert accepted(encoded("PNG", Image.new(mode, (5, 4)))).width == 5
