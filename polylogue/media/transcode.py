"""Sound in another container: streamed samples arrive as WAV, and some users ask for something smaller."""

from __future__ import annotations

import io
from typing import Any

_CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "opus": ("ogg", "libopus"),
}
_RATES = {"libopus": 48_000}  # Opus knows only a few sample rates

FORMATS = frozenset({"wav", *_CODECS})
"""What a user may ask for."""


class TranscodeError(Exception):
    """The sound could not be read or written in the format asked for."""


def transcode(wav: bytes, to: str) -> bytes:
    """The sound of a WAV file in the format `to`, one of FORMATS. Takes CPU time: call it in a thread.

    Raises TranscodeError.
    """
    if to == "wav":
        return wav
    container, codec = _CODECS[to]
    import av

    output = io.BytesIO()
    try:
        with av.open(io.BytesIO(wav)) as source, av.open(output, "w", format=container) as target:
            sound = source.streams.audio[0]
            stream: Any = target.add_stream(codec, rate=_RATES.get(codec, sound.rate))
            # A WAV may say how many channels it has without naming their places.
            stream.layout = "mono" if sound.channels == 1 else "stereo"
            stream.format = stream.codec_context.codec.audio_formats[0]
            stream.codec_context.open()
            resampler = av.AudioResampler(
                format=stream.format,
                layout=stream.layout,
                rate=stream.rate,
                frame_size=stream.frame_size or None,
            )
            for frame in (*source.decode(sound), None):
                for piece in resampler.resample(frame):
                    target.mux(stream.encode(piece))
            target.mux(stream.encode(None))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise TranscodeError(f"the sound could not be written as {to}: {type(error).__name__}") from None
    return output.getvalue()
