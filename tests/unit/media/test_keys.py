"""Object keys are a function of what is known, and stay inside their folder whatever a name holds."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.keys import object_key, rendition_key

NAMES = st.text(min_size=1, max_size=40, alphabet=st.characters(exclude_categories=["Cs"]))


def test_a_key_has_the_documented_form() -> None:
    key = object_key("image", "c1", "google/gemini-2.5-flash:free", "20260102", "m1", "png")
    assert key == "media/image/c1/google%2Fgemini-2.5-flash%3Afree/20260102_m1.png"


@given(conversation=NAMES, model=NAMES, media_id=NAMES)
def test_every_name_stays_in_its_own_segment(conversation: str, model: str, media_id: str) -> None:
    parts = object_key("audio", conversation, model, "20260102", media_id, "wav").split("/")
    assert len(parts) == 5
    assert not {".", "..", ""} & set(parts)
    assert unquote(parts[2]) == conversation
    assert unquote(parts[3]) == model
    assert unquote(parts[4]) == f"20260102_{media_id}.wav"


@pytest.mark.parametrize(
    ("date", "extension"),
    [
        ("2026-01-02", "png"),
        ("20260102", ".png"),
        ("20260102", ""),
        ("20260102", "p/ng"),
        ("20260102", "PNG"),
    ],
)
def test_a_date_or_extension_of_another_form_is_refused(date: str, extension: str) -> None:
    with pytest.raises(ValueError):
        object_key("image", "c", "m", date, "i", extension)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError):
        object_key("image", "", "m", "20260102", "i", "png")


def test_a_rendition_lies_beside_its_original_under_the_same_stem() -> None:
    key = object_key("image", "c1", "openai/gpt-4.1", "20260102", "m1", "webp")
    stem = key.removesuffix("webp")
    renditions = {rendition_key(key, name) for name in ("webp", "thumbnail", "poster", "waveform")}
    assert len(renditions | {key}) == 5
    assert all(rendition.startswith(stem) for rendition in renditions)
    assert rendition_key(key, "waveform") == f"{stem}waveform.json"


@pytest.mark.parametrize(("key", "name"), [("media/image/c/m/20260102_a.png", "huge"), ("nothing", "webp")])
def test_a_rendition_of_nothing_or_of_an_unknown_name_has_no_key(key: str, name: str) -> None:
    with pytest.raises(ValueError):
        rendition_key(key, name)
