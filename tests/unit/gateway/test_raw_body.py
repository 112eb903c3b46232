"""A body that is the medium itself becomes that medium."""

from __future__ import annotations

import pytest

from polylogue.simulator.case_media import film, picture, samples, sound
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.errors import TRUNCATED
from polylogue.streams.gateway.events import BadMedia
from polylogue.streams.gateway.raw_body import raw_media_type, read_raw
from tests.unit.gateway.cases.expected import STOP, heard, medium


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        ("audio/mpeg", "audio"),
        ("image/png", "image"),
        ("video/mp4", "video"),
        ("text/event-stream", None),
        ("application/octet-stream", None),
    ],
)
def test_only_media_types_name_a_medium(content_type: str, media_type: str | None):
    assert raw_media_type(content_type) == media_type


def test_each_kind_is_taken_as_it_is():
    limits = {"audio_format": "mp3", "max_bytes": 10**6}
    assert read_raw(sound("mp3"), "audio/mpeg", "audio", **limits) == [
        heard(sound("mp3"), "audio/mpeg"),
        STOP,
    ]
    assert read_raw(picture(), "image/png", "image", **limits) == [medium(picture()), STOP]
    assert read_raw(film(), "video/mp4", "video", **limits) == [medium(film(), "video/mp4", "video"), STOP]


def test_samples_are_wrapped_where_they_were_asked_for_or_announced():
    pcm = samples(0, 600)
    wrapped = [heard(wrap_pcm16(pcm)), STOP]
    assert read_raw(pcm, "audio/pcm", "audio", audio_format="mp3", max_bytes=10**6) == wrapped
    assert read_raw(pcm, "audio/mpeg", "audio", audio_format="pcm16", max_bytes=10**6) == wrapped


def test_nothing_and_too_much():
    assert read_raw(b"", "audio/mpeg", "audio", audio_format=None, max_bytes=5) == [TRUNCATED]
    too_large = BadMedia("image", "too_large", "The model sent a picture above the size limit.")
    assert read_raw(b"123456", "image/png", "image", audio_format=None, max_bytes=5) == [too_large, STOP]
