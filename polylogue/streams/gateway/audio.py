"""Puts together a sound that arrives in many base64 pieces."""

from __future__ import annotations

import struct
from urllib.parse import unquote_to_bytes

import msgspec

from polylogue.streams.gateway.base64_media import decode_base64, parse_data_url

PCM16_RATE = 24_000  # Hz, mono: what every gateway means by pcm16, and what none of them says

_CONTENT_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mpeg": "audio/mpeg",
    "opus": "audio/ogg",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
}
_RAW_PCM = frozenset({"pcm16", "pcm", "l16", "s16le", "x-pcm"})
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_RATES = (44_100, 48_000, 32_000)


class Sound(msgspec.Struct, frozen=True):
    data: bytes
    content_type: str | None


class AudioPieces:
    """`add` each piece; `finish` gives the sounds: one, or several where the pieces cannot be one file."""

    def __init__(self, *, audio_format: str | None, max_bytes: int) -> None:
        self._format = (audio_format or "").lower()
        self._max_bytes = max_bytes
        self._rate = PCM16_RATE
        self._parts: list[list[bytes]] = []
        self._rest = b""
        self.size_bytes = 0
        self.bad = False  # a piece was not base64
        self.too_large = False

    def add(self, piece: str | memoryview) -> int:
        """How many bytes the piece brought."""
        if self.bad or self.too_large:
            return 0
        view = memoryview(piece.encode("utf-8", "replace")) if isinstance(piece, str) else piece
        url = parse_data_url(view)
        if url is not None:
            view = url.payload
            self._declare(url.content_type, url.parameters)
        payload = self._rest + bytes(view).translate(None, b"\t\r\n")
        if b"%" in payload:
            payload = unquote_to_bytes(payload)
        self._rest = b""
        # A standard decoder silently drops what follows padding, so each piece is decoded by itself; only what is
        # neither whole nor padded waits for the next one.
        if len(payload) % 4 and not payload.endswith(b"=") and payload.isascii():
            cut = len(payload) - len(payload) % 4
            payload, self._rest = payload[:cut], payload[cut:]
        return self._decode(payload)

    def finish(self) -> list[Sound]:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._decode(rest)
        if self.bad or self.too_large:
            return []
        parts = [b"".join(part) for part in self._parts]
        self._parts = []
        if len(parts) > 1:
            merged = merge_wavs(parts)
            parts = parts if merged is None else [merged]
        return [self._sound(part) for part in parts if part]

    def _declare(self, content_type: str | None, parameters: dict[str, str]) -> None:
        if content_type and content_type.startswith("audio/"):
            self._format = content_type.removeprefix("audio/")
        if is_rate(parameters.get("rate", "")):
            self._rate = int(parameters["rate"])

    def _decode(self, payload: bytes) -> int:
        data = decode_base64(payload)
        if data is None:
            self.bad = True
            return 0
        if data:
            if not self._parts or (is_wav(data) and is_wav(self._parts[-1][0])):
                self._parts.append([])
            self._parts[-1].append(data)
            self.size_bytes += len(data)
            if self.size_bytes > self._max_bytes:
                self.too_large = True
                self._parts = []
        return len(data)

    def _sound(self, data: bytes) -> Sound:
        """The bytes' own mark counts before the format that was asked for: some servers ignore the request."""
        return as_sound(data, self._format, self._rate)


def as_sound(data: bytes, audio_format: str, rate: int = PCM16_RATE) -> Sound:
    declared = _CONTENT_TYPES.get(audio_format)
    if has_audio_mark(data):
        return Sound(data, declared)
    if audio_format in _RAW_PCM or audio_format in ("", "wav"):
        return Sound(wrap_pcm16(data, rate), "audio/wav")
    return Sound(data, declared)


def is_rate(rate: str) -> bool:
    """Whether a data URL's parameter is a sampling rate that exists."""
    return len(rate) <= 6 and rate.isascii() and rate.isdigit() and int(rate) > 0


def wrap_pcm16(samples: bytes, rate: int = PCM16_RATE) -> bytes:
    """A WAV of mono 16-bit samples; half a sample at the end is dropped."""
    size = len(samples) - len(samples) % 2
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        rate * 2,
        2,
        16,
        b"data",
        size,
    )
    return header + samples[:size]


def is_wav(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def has_audio_mark(data: bytes) -> bool:
    return (
        is_wav(data)
        or data[:4] in (b"OggS", b"fLaC", b"\x1aE\xdf\xa3")
        or data[:3] == b"ID3"
        or data[4:8] == b"ftyp"
        or _is_frames(data)
    )


def _is_frames(data: bytes) -> bool:
    """MP3 or ADTS. Loud PCM may begin with the same twelve bits, so the next frame must be where the first says."""
    length = _frame_length(data[:6])
    return length > 0 and (len(data) <= length + 2 or _frame_length(data[length : length + 6]) > 0)


def _frame_length(head: bytes) -> int:
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    if head[1] & 0xF6 == 0xF0:  # ADTS
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if layer != 1 or version == 1 or bitrate in (0, 15) or rate == 3:  # layer III only
        return 0
    if version == 3:  # MPEG 1
        return 144_000 * _MP3_KBITS[bitrate] // _MP3_RATES[rate] + (head[2] >> 1 & 1)
    halved = _MP3_RATES[rate] // (2 if version == 2 else 4)
    return 72_000 * _MP3_KBITS_LOW[bitrate] // halved + (head[2] >> 1 & 1)


def merge_wavs(wavs: list[bytes]) -> bytes | None:
    """One file out of pieces that each carry a header; None when their formats differ."""
    formats, samples = set(), []
    for wav in wavs:
        chunks = _wav_chunks(wav)
        if chunks is None:
            return None
        formats.add(chunks[0])
        samples.append(chunks[1])
    if len(formats) != 1:
        return None
    fmt, body = formats.pop(), b"".join(samples)
    padding = b"\0" * (len(body) % 2)
    head = struct.pack(
        "<4sI4s4sI", b"RIFF", 20 + len(fmt) + len(body) + len(padding), b"WAVE", b"fmt ", len(fmt)
    )
    return head + fmt + struct.pack("<4sI", b"data", len(body)) + body + padding


def _wav_chunks(wav: bytes) -> tuple[bytes, bytes] | None:
    fmt = b""
    position = 12
    while position + 8 <= len(wav):
        name, size = wav[position : position + 4], int.from_bytes(wav[position + 4 : position + 8], "little")
        start = position + 8
        if name == b"fmt ":
            fmt = wav[start : start + size]
        elif name == b"data":
            # A streaming writer leaves the size at its maximum or zero: then all that follows is sound.
            streamed = size == 0 or start + size > len(wav)
            return (fmt, wav[start:] if streamed else wav[start : start + size]) if fmt else None
        position = start + size + size % 2
    return None
