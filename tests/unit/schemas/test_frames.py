"""What a reader makes of frames that a later version sends."""

from __future__ import annotations

import msgspec
import pytest

from polylogue.schemas.frames import MediaPendingFrame, decode_frame

PENDING = {
    "type": "media_pending",
    "id": "1",
    "conversation_id": "c",
    "model": "sim/painter",
    "response_id": "r",
    "media_id": "m",
    "media_type": "image",
}


def read(**fields: object) -> object:
    return decode_frame(msgspec.json.encode(PENDING | fields))


@pytest.mark.parametrize(
    ("phase", "taken_for"),
    [
        ("generating", "generating"),
        ("validating", "validating"),
        ("uploading", "uploading"),
        ("polishing", "uploading"),
    ],
)
def test_an_unknown_phase_is_one_more_on_the_way(phase: str, taken_for: str) -> None:
    frame = read(phase=phase)
    assert isinstance(frame, MediaPendingFrame)
    assert frame.phase == taken_for


def test_a_phase_that_is_no_word_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        read(phase=7)


def test_an_unknown_type_is_no_frame() -> None:
    assert decode_frame(b'{"type": "hologram"}') is None
