"""Streamed sound in the format that was asked for."""

from __future__ import annotations

import io
import math
import struct
import wave

import av
import pytest

from polylogue.media.sniff import sniff
from polylogue.media.transcode import FORMATS, TranscodeError, transcode


def tone(seconds: float = 1.0, rate: int = 24_000) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        samples = (int(9000 * math.sin(n / 9)) for n in range(int(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return output.getvalue()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_sound_keeps_its_length_in_every_format(name: str) -> None:
    sound = transcode(tone(), name)
    kind = sniff(sound)
    assert kind is not None
    assert kind.format == {"opus": "ogg"}.get(name, name)
    with av.open(io.BytesIO(sound)) as decoded:
        samples = sum(frame.samples / frame.sample_rate for frame in decoded.decode(audio=0))
    assert samples == pytest.approx(1.0, abs=0.1)


def test_what_is_no_sound_is_refused_with_a_sentence() -> None:
    with pytest.raises(TranscodeError, match="could not be written as mp3"):
        transcode(b"RIFF....WAVEfmt ", "mp3")
