"""Probes sound and film: codecs, size, length, whether the beginning can be decoded and the rest is there."""

from __future__ import annotations

from typing import Any, BinaryIO

import av

from polylogue.media.sniff import MediaKind
from polylogue.media.streams_of import FILM_CODECS, SOUND_CODECS, opened, sound_and_film
from polylogue.media.verdicts import BROKEN, Accepted, Limits, Refused
from polylogue.schemas.base import MediaType

_FRAMES_DECODED = {
    "audio": 40,
    "video": 5,
}  # about a second, and enough to need what the first frame refers to
_MISSING_S = 1.0  # less than this, and less than a tenth, may be missing from what the header promises
_MISSING_SHARE = 0.1
# FLAC counts its samples in front, and a frame holds a tenth of a second of them.
_EXACT_S = {"flac": 0.05}
# Their demuxers guess the length from the first frames where no header says it.
_LENGTH_IS_GUESSED = frozenset({"mp3", "aac"})
_SOUND_ONLY = {"mp4": ("m4a", "audio/mp4"), "mov": ("m4a", "audio/mp4"), "webm": ("webm", "audio/webm")}


def inspected_stream(
    file: BinaryIO, kind: MediaKind, limits: Limits, *, provenance: bool
) -> Accepted | Refused:
    """Raises MemoryError."""
    try:
        with opened(file, kind.format) as container:
            return _inspected(container, kind, limits, provenance=provenance)
    except (av.FFmpegError, ValueError, IndexError, ArithmeticError):
        return BROKEN


def _inspected(container: Any, kind: MediaKind, limits: Limits, *, provenance: bool) -> Accepted | Refused:
    sound, film = sound_and_film(container)
    if sound is None and film is None:
        return BROKEN
    for stream, known in ((sound, SOUND_CODECS), (film, FILM_CODECS)):
        if stream is not None and stream.codec_context.codec.canonical_name not in known:
            return Refused(
                reason="unsupported_codec", message="The file is encoded in a way that is not supported."
            )
    if film is not None and film.codec_context.width * film.codec_context.height > limits.most_pixels:
        most = f"{limits.most_pixels / 1_000_000:g}"
        return Refused(
            reason="too_many_pixels", message=f"The film has more than {most} million pixels a frame."
        )
    declared_s = container.duration / av.time_base if container.duration else None
    watched = [stream for stream in (sound, film) if stream is not None]
    found = _Walk(container, watched)
    if declared_s is not None and kind.format not in _LENGTH_IS_GUESSED:
        allowed_s = _EXACT_S.get(kind.format, max(_MISSING_S, declared_s * _MISSING_SHARE))
        if declared_s - found.length_s > allowed_s:
            return Refused(reason="truncated", message="The file ends too early; a part of it is missing.")
    if found.damaged or any(stream.index not in found.decoded for stream in watched):
        return BROKEN
    media_type: MediaType = "audio" if film is None else "video"
    file_format, content_type = kind.format, kind.content_type
    if film is None and kind.media_type == "video":
        file_format, content_type = _SOUND_ONLY[kind.format]
    width, height = found.size
    codecs = [stream.codec_context.codec.canonical_name for stream in (film, sound) if stream is not None]
    return Accepted(
        media_type=media_type,
        format=file_format,
        content_type=content_type,
        width=width,
        height=height,
        duration_ms=round((found.length_s or declared_s or 0) * 1000),
        codec="+".join(codecs),
        provenance=provenance,
    )


class _Walk:
    """Reads every packet and decodes the first frames of each stream."""

    def __init__(self, container: Any, streams: list[Any]) -> None:
        self.decoded: dict[int, int] = {}
        self.damaged = False
        self.size: tuple[int | None, int | None] = (None, None)
        self._begin_s: float | None = None
        self._end_s = 0.0
        for packet in container.demux(streams):
            self._note_time(packet)
            wanted = _FRAMES_DECODED[packet.stream.type]
            if self.decoded.get(packet.stream.index, 0) < wanted:
                self._decode(packet)

    @property
    def length_s(self) -> float:
        return max(0.0, self._end_s - (self._begin_s or 0.0))

    def _note_time(self, packet: Any) -> None:
        if packet.pts is None or packet.time_base is None:
            return
        at_s = float(packet.pts * packet.time_base)
        # Encoders begin sound before zero: what lies there is not heard.
        self._begin_s = max(0.0, at_s) if self._begin_s is None else min(self._begin_s, max(0.0, at_s))
        self._end_s = max(self._end_s, at_s + float((packet.duration or 0) * packet.time_base))

    def _decode(self, packet: Any) -> None:
        index = packet.stream.index
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            self.damaged = True  # the length may still tell that the file was merely cut
            return
        for frame in frames:
            self.decoded[index] = self.decoded.get(index, 0) + 1
            if packet.stream.type == "video" and self.size == (None, None):
                turned = frame.rotation % 180 != 0
                self.size = (frame.height, frame.width) if turned else (frame.width, frame.height)
