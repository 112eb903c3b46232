"""The adapter for speech and transcription: pieces of sound make one, text is not said twice."""

from __future__ import annotations

import base64

from polylogue.simulator.case_media import samples, sound
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import AudioDelta, Noted, TextDelta
from polylogue.streams.gateway.speech import Speech
from tests.unit.gateway.cases.expected import STOP, TOKENS, TRUNCATED, heard
from tests.unit.gateway.feeding import streamed, whole

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def delta(data: bytes) -> dict[str, str]:
    return {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}


def test_pieces_of_sound_become_one():
    done = {"type": "speech.audio.done", "usage": USAGE}
    assert streamed(Speech(audio_format="pcm"), delta(samples(0, 2)), delta(samples(2, 6)), done) == [
        AudioDelta(2),
        AudioDelta(4),
        heard(wrap_pcm16(samples(0, 6))),
        TOKENS,
        STOP,
    ]


def test_a_sound_that_breaks_off_is_not_kept():
    arriving, note, end = streamed(Speech(), delta(samples(0, 60)))
    assert arriving == AudioDelta(60)
    assert isinstance(note, Noted)
    assert end == TRUNCATED


def test_the_whole_text_is_used_only_without_pieces():
    done = {"type": "transcript.text.done", "text": "Hello"}
    assert streamed(Speech(), done) == [TextDelta("Hello"), STOP]
    piece = {"type": "transcript.text.delta", "delta": "Hello"}
    assert streamed(Speech(), piece, done) == [TextDelta("Hello"), STOP]


def test_whole_bodies_are_read():
    assert whole(Speech(), {"text": "Hello"}) == [TextDelta("Hello"), STOP]
    mp3 = sound("mp3")
    body = {"audio": {"data": base64.b64encode(mp3).decode()}}
    assert whole(Speech(audio_format="mp3"), body) == [AudioDelta(len(mp3)), heard(mp3, "audio/mpeg"), STOP]
