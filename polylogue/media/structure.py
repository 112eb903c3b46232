"""Whether a file ends before its own structure says so; walks headers only and decodes nothing.

Formats that have an end say where it is. Decoders are lenient about it, and show half a picture or play half a song.
What stands behind the end is nobody's business here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import BinaryIO

from polylogue.media.sniff import adts_frame_length, id3_length, mp3_frame_length

_MOST_STEPS = 5_000_000  # of a walk: a file of 100 MB that is made of headers has no more


def is_cut_off(file: BinaryIO, media_format: str) -> bool:
    """Also where the structure makes no sense, which a decoder will say better: then False."""
    walk = _WALKS.get(media_format)
    if walk is None:
        return False
    size = file.seek(0, os.SEEK_END)
    return walk(_Reader(file, size))


class _Reader:
    """Reads at a position; what lies behind the end of the file is nothing."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file = file

    def at(self, position: int, count: int) -> bytes:
        if position >= self.size:
            return b""
        self._file.seek(position)
        return self._file.read(count)


def _png(file: _Reader) -> bool:
    position = 8
    for _ in range(_MOST_STEPS):
        head = file.at(position, 8)
        if len(head) < 8:
            return True
        position += 12 + int.from_bytes(head[:4], "big")
        if position > file.size:
            return True
        if head[4:] == b"IEND":
            return False
    return False


def _riff(file: _Reader) -> bool:
    """WebP: the size in front counts everything behind it."""
    return int.from_bytes(file.at(4, 4), "little") + 8 > file.size


def _wav(file: _Reader) -> bool:
    """A stream's writer cannot know the length and writes none, or the largest there is: that is no cut."""
    position = 12
    for _ in range(_MOST_STEPS):
        head = file.at(position, 8)
        if len(head) < 8:
            return False
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            streamed = length == 0 or length >= 0x7FFF_0000
            return not streamed and position + 8 + length > file.size
        position += 8 + length + length % 2
    return False


def _gif(file: _Reader) -> bool:
    screen = file.at(0, 13)
    if len(screen) < 13:
        return True
    position = 13 + _colours(screen[10])
    for _ in range(_MOST_STEPS):
        mark = file.at(position, 10)
        match mark[:1]:
            case b";":
                return False
            case b"!":
                after = _after_blocks(file, position + 2)
            case b",":
                after = None
                if len(mark) == 10:
                    after = _after_blocks(file, position + 11 + _colours(mark[9]))
            case b"":
                return True
            case _:
                return False  # nonsense between two blocks; the decoder decides
        if after is None:
            return True
        position = after
    return False


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(file: _Reader, position: int) -> int | None:
    """Where a chain of blocks ends; None where the file ends first."""
    for _ in range(_MOST_STEPS):
        length = file.at(position, 1)
        if not length:
            return None
        position += 1 + length[0]
        if length[0] == 0:
            return position
    return None


_BOXES = frozenset(
    b"ftyp moov mdat moof mfra sidx free skip wide uuid meta styp ssix prft emsg pdin pnot udta".split()
)


def _iso(file: _Reader) -> bool:
    position = 0
    names = set()
    for _ in range(_MOST_STEPS):
        head = file.at(position, 16)
        if len(head) < 8:
            break
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if name not in _BOXES:
            break
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        elif length == 0:
            length = file.size - position
        names.add(name)
        if length < 8 or position + length > file.size:
            return length >= 8
        position += length
    # Samples, and nobody to say what they are: the table that comes last is missing.
    return b"mdat" in names and not names & {b"moov", b"moof", b"meta"}


def _ogg(file: _Reader) -> bool:
    position = 0
    for _ in range(_MOST_STEPS):
        head = file.at(position, 27 + 255)
        if not head.startswith(b"OggS"):
            return bool(head) and b"OggS".startswith(head[:4])
        segments = head[26] if len(head) >= 27 else 0
        if len(head) < 27 + segments:
            return True
        position += 27 + segments + sum(head[27 : 27 + segments])
        if position > file.size:
            return True
    return False


def _webm(file: _Reader) -> bool:
    """A header, then one segment with everything in it."""
    return _element_end(file, _element_end(file, 0)) > file.size


def _element_end(file: _Reader, position: int) -> int:
    """Where an EBML element ends; one of unknown length, as streams have, reaches to the end of the file."""
    head = file.at(position, 12)
    if not head:
        return position
    wide = _width(head[0])
    if wide > 4 or len(head) <= wide:
        return position
    size_wide = _width(head[wide])
    if size_wide > 8 or len(head) < wide + size_wide:
        return file.size + 1
    mask = (1 << 7 * size_wide) - 1
    size = int.from_bytes(head[wide : wide + size_wide], "big") & mask
    if size == mask:
        return file.size
    return position + wide + size_wide + size


def _width(first: int) -> int:
    return 9 - first.bit_length()


def _mp3(file: _Reader) -> bool:
    """The frames are counted: a first one that holds no sound may say how many there should be."""
    position = id3_length(file.at(0, 10)) or 0
    if position > file.size:
        return True
    while file.at(position, 1) == b"\0":  # padding that the tag's size does not count
        position += 1
    first = file.at(position, 200)
    announced = 0
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at > 0 and len(first) >= at + 12 and first[at + 7] & 1:
            announced = int.from_bytes(first[at + 8 : at + 12], "big")
    frames, cut = _frames(file, position, 4, mp3_frame_length)
    return cut or frames < announced


def _aac(file: _Reader) -> bool:
    return _frames(file, 0, 7, adts_frame_length)[1]


def _frames(
    file: _Reader, position: int, head_bytes: int, length_of: Callable[[bytes], int | None]
) -> tuple[int, bool]:
    """How many frames follow each other, and whether the last one is cut."""
    for frames in range(_MOST_STEPS):
        length = length_of(file.at(position, head_bytes))
        if length is None:
            return frames, False  # the end, or a tag behind it
        position += length
        if position > file.size:
            return frames, True
    return _MOST_STEPS, False


_WALKS: Mapping[str, Callable[[_Reader], bool]] = {
    "png": _png,
    "webp": _riff,
    "gif": _gif,
    "avif": _iso,
    "mp3": _mp3,
    "aac": _aac,
    "wav": _wav,
    "ogg": _ogg,
    "m4a": _iso,
    "mp4": _iso,
    "mov": _iso,
    "webm": _webm,
}
