"""From a data URL or bare base64, however mangled, to bytes."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

import msgspec
import pybase64

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.events import BadMedia
from polylogue.streams.gateway.large_json import LongString
from polylogue.streams.gateway.lifted import LiftedString

# The head of a data URL (type and parameters) is far shorter; the comma is looked for here only.
LONGEST_HEAD_BYTES = 1024
_MOST_NESTED = 3

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE = b" \t\r\n\v\f"
_PADDED_PIECES = re.compile(rb"[^=]+=*")


class DecodedMedia(msgspec.Struct, frozen=True):
    data: bytes
    content_type: str | None = None
    parameters: dict[str, str] = {}
    sha256: str | None = None  # where it is known


class DataUrl(msgspec.Struct, frozen=True):
    content_type: str | None
    parameters: dict[str, str]
    is_base64: bool
    payload: memoryview


def parse_data_url(source: memoryview) -> DataUrl | None:
    """None when it is no data URL. The payload is a view, not a copy."""
    head = bytes(source[:LONGEST_HEAD_BYTES])
    if head[:5].lower() != b"data:":
        return None
    comma = head.find(b",")
    if comma < 0:
        return None
    content_type, *rest = (part.strip() for part in head[5:comma].decode("utf-8", "replace").split(";"))
    parameters = {}
    is_base64 = False
    for part in rest:
        name, _, value = part.partition("=")
        if name.lower() == "base64" and not value:
            is_base64 = True
        elif name:
            parameters[name.strip().lower()] = value.strip().strip('"')
    return DataUrl(content_type.lower() or None, parameters, is_base64, source[comma + 1 :])


def decode_media(
    source: str | LongString, media_type: MediaType, *, max_bytes: int
) -> DecodedMedia | BadMedia:
    """Also unwraps a data URL within a data URL, and takes a data URL where bare base64 belongs."""
    if isinstance(source, LiftedString):
        lifted = _decode_lifted(source, media_type, max_bytes=max_bytes)
        if lifted is not None:
            return lifted
        source = source.text()
    view = memoryview(source.encode("utf-8", "replace")) if isinstance(source, str) else source
    content_type: str | None = None
    parameters: dict[str, str] = {}
    is_base64 = True
    for _ in range(_MOST_NESTED):
        url = parse_data_url(view)
        if url is None:
            break
        content_type = url.content_type or content_type
        parameters |= url.parameters
        is_base64 = url.is_base64
        view = url.payload
    if len(view) // 4 * 3 > max_bytes + 3:
        return _too_large(media_type)
    data = decode_base64(view) if is_base64 else unquote_to_bytes(bytes(view))
    if data is None:
        return BadMedia(
            media_type, "bad_base64", f"The model sent {_article(media_type)} that is not valid base64."
        )
    if not data:
        return BadMedia(media_type, "bad_base64", f"The model sent {_article(media_type)} without content.")
    if len(data) > max_bytes:
        return _too_large(media_type)
    return DecodedMedia(data, content_type, parameters)


def _decode_lifted(
    source: LiftedString, media_type: MediaType, *, max_bytes: int
) -> DecodedMedia | BadMedia | None:
    """What its text would be decoded to, where only its end is left to decode; None where it needs more than that."""
    url, tail = parse_data_url(memoryview(source.before)), _decode_piece(source.after)
    if url is None or not url.is_base64 or len(url.payload) or tail is None:
        return None
    data, sha256 = source.medium(tail)
    if len(data) > max_bytes:
        return _too_large(media_type)
    return DecodedMedia(data, url.content_type, url.parameters, sha256)


def _too_large(media_type: MediaType) -> BadMedia:
    return BadMedia(media_type, "too_large", f"The model sent {_article(media_type)} above the size limit.")


def decode_base64(payload: bytes | memoryview) -> bytes | None:
    """Strict first, which is fast; mended only where that fails. None when it cannot be base64."""
    try:
        return pybase64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return _decode_mended(bytes(payload))


def _decode_mended(payload: bytes) -> bytes | None:
    if b"%" in payload:
        payload = unquote_to_bytes(payload)
    payload = payload.strip(_WHITE).translate(_URL_SAFE, b"\t\r\n\v\f")
    if b" " in payload:
        # "+" that went through a form decoder, unless the blanks stand where lines ended.
        payload = payload.replace(b" ", b"" if _are_line_ends(payload) else b"+")
    # Padding in the middle means pieces that were encoded one by one.
    pieces = [_decode_piece(piece) for piece in _PADDED_PIECES.findall(payload)]
    whole = [piece for piece in pieces if piece is not None]
    return b"".join(whole) if len(whole) == len(pieces) else None


def _are_line_ends(payload: bytes) -> bool:
    """Whether blanks cut the text into lines of one length, as mail does (76) and PEM (64)."""
    *lines, last = payload.split(b" ")
    length = len(lines[0])
    return (
        length >= 60
        and length % 4 == 0
        and all(len(line) == length for line in lines)
        and len(last) <= length
    )


def _decode_piece(piece: bytes) -> bytes | None:
    bare = piece.rstrip(b"=")
    if len(bare) % 4 == 1:  # no bytes encode to that
        return None
    try:
        return pybase64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _article(media_type: MediaType) -> str:
    return {"image": "a picture", "audio": "a sound", "video": "a film"}[media_type]
