"""Opens sound and film the one careful way: the demuxer of the sniffed format, known codecs, and no other file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av

_DEMUXERS = {
    "mp3": "mp3",
    "wav": "wav",
    "ogg": "ogg",
    "flac": "flac",
    "aac": "aac",
    "m4a": "mov",
    "mp4": "mov",
    "mov": "mov",
    "webm": "matroska",
}
SOUND_CODECS = frozenset(
    [
        "mp3",
        "mp3float",
        "aac",
        "aac_latm",
        "alac",
        "flac",
        "opus",
        "vorbis",
        "speex",
        "pcm_u8",
        "pcm_s16le",
        "pcm_s24le",
        "pcm_s32le",
        "pcm_f32le",
        "pcm_f64le",
        "pcm_s16be",
        "pcm_s24be",
        "pcm_alaw",
        "pcm_mulaw",
    ]
)
FILM_CODECS = frozenset(["h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "prores", "mjpeg"])


@contextmanager
def opened(file: BinaryIO, media_format: str) -> Iterator[Any]:
    """The library's container. Raises whatever the library raises."""
    file.seek(0)
    # A container may name other files and servers; it is not followed, whatever it names.
    options = {"protocol_whitelist": "none", "format_whitelist": "mp3,wav,ogg,flac,aac,mov,matroska,webm"}
    with av.open(
        file, format=_DEMUXERS[media_format], options=options, metadata_errors="ignore"
    ) as container:
        yield container


def sound_and_film(container: Any) -> tuple[Any | None, Any | None]:
    """The first sound and the first film in it; the picture of an album's cover is no film."""
    sound = next(iter(container.streams.audio), None)
    films = (
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    )
    film = next(films, None)
    for stream in (sound, film):
        if stream is not None:
            # Each thread of a decoder holds frames of its own; many small files are checked at once instead.
            stream.codec_context.thread_count = 1
    return sound, film
