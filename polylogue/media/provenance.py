"""Whether a file says of itself how it was made: C2PA, XMP, or a text that names its generator.

A look for the places where such marks stand, not a check of their signatures.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MOST_STEPS = 100_000
_MOST_TEXT = 64 * 1024
# Keywords under which image generators leave word in a PNG.
_PNG_KEYWORDS = frozenset(
    b"parameters prompt workflow software source generator dream sd-metadata comment description".split()
)
_JPEG_MARKS = (b"JP", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")


def carries_provenance(file: BinaryIO, media_format: str) -> bool:
    size = file.seek(0, os.SEEK_END)
    match media_format:
        case "png":
            return _png(file)
        case "jpg":
            return _jpeg(file)
        case "webp" | "wav":
            return _riff(file, size)
        case "gif":
            return _contains(file, b"\x21\xff\x0bXMP DataXMP") or _contains(file, b"\x21\xff\x0bC2PA_GIF")
        case "mp4" | "mov" | "m4a" | "avif":
            return _iso(file, size)
        case "mp3":
            return _id3(file)
        case _:
            return False


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _png(file: BinaryIO) -> bool:
    position = 8
    for _ in range(_MOST_STEPS):
        head = _read(file, position, 8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or name == b"IEND":
            return False
        if name == b"caBX":
            return True
        if name in {b"tEXt", b"iTXt", b"zTXt"}:
            keyword = _read(file, position + 8, min(length, 80)).partition(b"\0")[0]
            if keyword == b"XML:com.adobe.xmp" or keyword.lower() in _PNG_KEYWORDS:
                return True
        position += 12 + length
    return False


def _jpeg(file: BinaryIO) -> bool:
    """C2PA lies in APP11 (JUMBF), XMP in APP1; both in front of the pixels."""
    position = 2
    for _ in range(_MOST_STEPS):
        head = _read(file, position, 4 + 48)
        if len(head) < 4 or head[0] != 0xFF or head[1] in {0xD9, 0xDA}:
            return False
        if head[1] in {0xE1, 0xEB} and head[4:].startswith(_JPEG_MARKS):
            return True
        position += 2 + int.from_bytes(head[2:4], "big")
    return False


def _riff(file: BinaryIO, size: int) -> bool:
    position = 12
    for _ in range(_MOST_STEPS):
        head = _read(file, position, 8)
        if len(head) < 8 or position > size:
            return False
        if head[:4] in {b"C2PA", b"XMP ", b"_PMX"}:
            return True
        length = int.from_bytes(head[4:], "little")
        position += 8 + length + length % 2
    return False


def _iso(file: BinaryIO, size: int) -> bool:
    position = 0
    for _ in range(_MOST_STEPS):
        head = _read(file, position, 32)
        if len(head) < 8:
            return False
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        body = 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), 16
        if name == b"uuid" and head[body : body + 16] in {_C2PA_UUID, _XMP_UUID}:
            return True
        if name in {b"meta", b"moov"} and length <= size:
            inside = _read(file, position + body, min(length, 4 * 1024 * 1024))
            # A picture names the type of its XMP item; a film keeps XMP in its user data.
            if b"application/rdf+xml\0" in inside or b"XMP_" in inside or b"application/c2pa\0" in inside:
                return True
        if length < 8:
            return False
        position += length
    return False


def _id3(file: BinaryIO) -> bool:
    """C2PA is a GEOB frame in front; XMP a PRIV frame."""
    head = _read(file, 0, _MOST_TEXT)
    return head.startswith(b"ID3") and (
        b"application/x-c2pa-manifest-store" in head or (b"PRIV" in head and b"XMP\0" in head)
    )


def _contains(file: BinaryIO, mark: bytes) -> bool:
    file.seek(0)
    kept = b""
    while piece := file.read(1024 * 1024):
        if mark in kept + piece:
            return True
        kept = piece[-len(mark) :]
    return False
