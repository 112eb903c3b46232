"""Makes speech-like sound from words and encodes it; the same arguments always give the same bytes."""

from __future__ import annotations

import io
import math
import random
import re
import sys
import wave
from array import array

RATE = 24_000  # Hz, mono, 16 bit: what `pcm16` means by convention
FORMATS = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm16": "audio/L16;rate=24000", "flac": "audio/flac"}
MOST_SYLLABLES = 120  # about 20 s: a longer answer is cut, as speech models do

_SYLLABLE = re.compile(r"[aeiouy]+|\d|[^\x00-\x7f]{1,2}")
_TABLE = 512  # samples of one period
# Loudness of the first eight harmonics: five vowels that the ear can tell apart.
_VOWELS = (
    (1.0, 0.6, 0.7, 0.8, 0.5, 0.3, 0.15, 0.1),
    (1.0, 0.9, 0.5, 0.2, 0.2, 0.3, 0.3, 0.2),
    (1.0, 0.3, 0.1, 0.05, 0.1, 0.2, 0.4, 0.3),
    (1.0, 0.9, 0.8, 0.3, 0.1, 0.05, 0.05, 0.05),
    (1.0, 0.5, 0.1, 0.05, 0.03, 0.02, 0.02, 0.02),
)
_MP3_FRAME_RATE = 128_000  # bit/s


def _period(loudness: tuple[float, ...]) -> list[float]:
    wave_form = [
        sum(
            amount * math.sin(2 * math.pi * (harmonic + 1) * at / _TABLE)
            for harmonic, amount in enumerate(loudness)
        )
        for at in range(_TABLE)
    ]
    peak = max(abs(value) for value in wave_form)
    return [value / peak for value in wave_form]


def samples(text: str, seed: int) -> array[int]:
    """One short tone a syllable, with a melody, and a pause after each word."""
    chance = random.Random(seed)  # noqa: S311 - a voice, not a secret
    tables = [_period(vowel) for vowel in _VOWELS]
    voice = chance.uniform(110, 220)  # Hz
    out = array("h")
    left = MOST_SYLLABLES
    for word in text.split() or ["…"]:
        syllables = min(left, max(1, len(_SYLLABLE.findall(word.lower()))))
        left -= syllables
        for _ in range(syllables):
            table = chance.choice(tables)
            step = voice * chance.uniform(0.85, 1.25) * _TABLE / RATE
            length = round(RATE * chance.uniform(0.1, 0.18))
            rise = length // 5
            out.extend(
                round(11_000 * min(1.0, at / rise, (length - at) / rise) * table[int(at * step) % _TABLE])
                for at in range(length)
            )
        out.extend([0] * round(RATE * (0.22 if word[-1] in ".,;:!?…" else 0.06)))
        if left <= 0:
            break
    return out


def _little_endian(sound: array[int]) -> bytes:
    if sys.byteorder == "big":
        sound = array("h", sound)
        sound.byteswap()
    return sound.tobytes()


def wav(pcm: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return out.getvalue()


def _encoded(pcm: bytes, container: str, codec: str, container_options: dict[str, str]) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format=container, options=container_options) as file:
        # Without the bit reservoir each MP3 frame stands for itself and copies can be joined.
        stream = file.add_stream(
            codec, rate=RATE, options={"reservoir": "0"} if codec == "libmp3lame" else {}
        )
        stream.layout = "mono"
        stream.format = "s16p" if codec == "libmp3lame" else "s16"
        if codec == "libmp3lame":
            stream.bit_rate = _MP3_FRAME_RATE
        count = len(pcm) // 2
        frame_size = 1152
        for start in range(0, count, frame_size):
            part = pcm[start * 2 : (start + frame_size) * 2]
            frame = av.AudioFrame(format=stream.format.name, layout="mono", samples=len(part) // 2)
            frame.planes[0].update(part.ljust(frame.planes[0].buffer_size, b"\0"))
            frame.sample_rate = RATE
            frame.pts = start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def _repeated(piece: bytes, size: int) -> bytes:
    return piece * max(1, math.ceil(size / len(piece)))


def encode(text: str, seed: int, audio_format: str, size: int = 0) -> bytes:
    """The words as sound of at least `size` bytes; a large one says the same again and again."""
    pcm = _little_endian(samples(text, seed))
    match audio_format:
        case "pcm16":
            return _repeated(pcm, size)
        case "wav":
            return wav(_repeated(pcm, size))
        case "mp3":
            bare = {"write_xing": "0", "id3v2_version": "0", "fflags": "+bitexact"}
            return _repeated(_encoded(pcm, "mp3", "libmp3lame", bare), size)
        case "flac":
            # Half of the raw bytes is more than FLAC saves on these tones, so the size is reached by doubling.
            repeated = pcm
            while len(sound := _encoded(repeated, "flac", "flac", {"fflags": "+bitexact"})) < size:
                repeated = _repeated(pcm, max(len(repeated) * 2, len(repeated) * size // len(sound)))
            return sound
        case "ogg":
            return _repeated(_encoded(pcm, "ogg", "flac", {"fflags": "+bitexact"}), size)
        case _:
            raise ValueError(f"no way to encode {audio_format}")
