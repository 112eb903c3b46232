"""What the bytes of a medium are, judged by the bytes alone; everything outside the allow-list is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import filetype  # type: ignore[import-untyped]  # the library ships no types

from polylogue.schemas.base import MediaType

HEAD_BYTES = 8192  # what is looked at; an ID3 tag larger than this is believed


@dataclass(frozen=True)
class MediaKind:
    media_type: MediaType
    format: str  # the file extension, without a dot
    content_type: str


PNG = MediaKind("image", "png", "image/png")
JPEG = MediaKind("image", "jpg", "image/jpeg")
WEBP = MediaKind("image", "webp", "image/webp")
GIF = MediaKind("image", "gif", "image/gif")
AVIF = MediaKind("image", "avif", "image/avif")
MP3 = MediaKind("audio", "mp3", "audio/mpeg")
WAV = MediaKind("audio", "wav", "audio/wav")
OGG = MediaKind("audio", "ogg", "audio/ogg")
FLAC = MediaKind("audio", "flac", "audio/flac")
M4A = MediaKind("audio", "m4a", "audio/mp4")
AAC = MediaKind("audio", "aac", "audio/aac")
MP4 = MediaKind("video", "mp4", "video/mp4")
WEBM = MediaKind("video", "webm", "video/webm")
MOV = MediaKind("video", "mov", "video/quicktime")

_M4A_BRANDS = frozenset({b"M4A ", b"M4B "})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_STILL_BRANDS = frozenset(
    {b"mif1", b"msf1", b"miaf"}
)  # say "pictures" and leave the codec to the other brands
_MP4_BRANDS = frozenset(
    b"isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 avc1 dash cmfc msdh MSNV mmp4 av01 hvc1".split()
) | {b"M4V ", b"f4v "}
_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_WAV_INSIDE = (b"fmt ", b"JUNK", b"bext", b"LIST", b"fact", b"ds64")


def sniff(data: bytes) -> MediaKind | None:
    """The kind of a medium from its first bytes (all of them, or at least 8 KiB); None where it is not accepted."""
    head = bytes(data[:HEAD_BYTES])
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    guess = filetype.guess(head) if head else None
    if guess is not None and guess.mime in _CONFIRMATIONS:
        kind, confirms = _CONFIRMATIONS[guess.mime]
        if confirms(head):
            return kind
    # The library knows three of the frame headers that an MP3 without an ID3 tag can begin with.
    if _is_mp3_frame(head, 0):
        return MP3
    return None


def _iso_kind(head: bytes) -> MediaKind | None:
    """ISO base media: the major brand decides, unless it only says that pictures follow."""
    size = int.from_bytes(head[:4], "big")
    if not 16 <= size <= HEAD_BYTES:
        return None
    major = head[8:12]
    brands = {head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4)}
    if major in _AVIF_BRANDS or (major in _STILL_BRANDS and brands & _AVIF_BRANDS):
        return AVIF
    if major in _M4A_BRANDS:
        return M4A
    if major == b"qt  ":
        return MOV
    return MP4 if major in _MP4_BRANDS else None


def _is_png(head: bytes) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR"


def _is_jpeg(head: bytes) -> bool:
    # A marker follows the start; C0 and above, or a comment.
    return len(head) > 3 and head.startswith(b"\xff\xd8\xff") and head[3] >= 0xC0


def _is_gif(head: bytes) -> bool:
    return head.startswith((b"GIF87a", b"GIF89a"))


def _is_webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP" and head[12:15] == b"VP8"


def _is_wav(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WAVE" and head[12:16] in _WAV_INSIDE


def _is_ogg_sound(head: bytes) -> bool:
    """An Ogg page may hold video too; the first page's payload names the codec."""
    if len(head) < 28 or not head.startswith(b"OggS\0"):
        return False
    return head[27 + head[26] :].startswith(_OGG_SOUND)


def _is_flac(head: bytes) -> bool:
    # The first block is always STREAMINFO, 34 bytes long.
    return head.startswith(b"fLaC") and len(head) > 8 and head[4] & 0x7F == 0 and head[5:8] == b"\0\0\x22"


def _is_webm(head: bytes) -> bool:
    return head.startswith(b"\x1a\x45\xdf\xa3") and b"\x42\x82\x84webm" in head[:64]


def _is_mov(head: bytes) -> bool:
    # QuickTime files older than `ftyp` begin with one of these atoms.
    return head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip") and (b"moov" in head or b"mdat" in head)


def adts_frame_length(header: bytes) -> int | None:
    """The length of an AAC frame by its first seven bytes: layer 0, a known sample rate, longer than its header."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    length = (header[3] & 0x03) << 11 | header[4] << 3 | header[5] >> 5
    return length if header[2] >> 2 & 0x0F < 13 and length >= 7 else None


def _is_aac(head: bytes) -> bool:
    length = adts_frame_length(head[:7])
    return length is not None and _repeats(head, length, 0xF6, 0xF0)


def id3_length(head: bytes) -> int | None:
    """The length of the ID3 tag that a file begins with; 0 where there is none, None where it makes no sense."""
    if not head.startswith(b"ID3"):
        return 0
    if len(head) < 10 or head[3] not in (2, 3, 4) or any(byte & 0x80 for byte in head[6:10]):
        return None
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _is_mp3(head: bytes) -> bool:
    start = id3_length(head)
    if start is None:
        return False
    # Some writers pad the tag with zeros that its size does not count.
    while start and start < len(head) and head[start] == 0:
        start += 1
    return (start >= len(head) and start > 0) or _is_mp3_frame(head, start)


# kbit/s of layer III by the header's index: MPEG 1, then MPEG 2 and 2.5. 0 stands for "free", which nobody sends.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
)
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_frame_length(header: bytes) -> int | None:
    """The length of a layer III frame by its first four bytes; None where they begin no frame."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, rate, index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _SAMPLE_RATES or index == 3:
        return None
    kbits = _BITRATES[0 if version == 3 else 1][rate]
    if kbits == 0:
        return None
    samples = 144 if version == 3 else 72
    return samples * kbits * 1000 // _SAMPLE_RATES[version][index] + (header[2] >> 1 & 1)


def _is_mp3_frame(head: bytes, start: int) -> bool:
    """A layer III frame whose successor, where the bytes reach that far, stands where its length says."""
    length = mp3_frame_length(head[start : start + 4])
    return length is not None and _repeats(head, start + length, 0xE6, 0xE2)


def _repeats(head: bytes, at: int, mask: int, bits: int) -> bool:
    following = head[at : at + 2]
    return len(following) < 2 or (following[0] == 0xFF and following[1] & mask == bits)


_Confirmation = Callable[[bytes], bool]
# The library looks at as little as two bytes; whatever it says is confirmed by a closer look.
_CONFIRMATIONS: Mapping[str, tuple[MediaKind, _Confirmation]] = {
    "image/png": (PNG, _is_png),
    "image/apng": (PNG, _is_png),
    "image/jpeg": (JPEG, _is_jpeg),
    "image/webp": (WEBP, _is_webp),
    "image/gif": (GIF, _is_gif),
    "audio/mpeg": (MP3, _is_mp3),
    "audio/x-wav": (WAV, _is_wav),
    "audio/ogg": (OGG, _is_ogg_sound),
    "audio/x-flac": (FLAC, _is_flac),
    "audio/aac": (AAC, _is_aac),
    "video/webm": (WEBM, _is_webm),
    "video/quicktime": (MOV, _is_mov),
}
