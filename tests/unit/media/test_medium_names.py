"""What a key says, so that a medium's objects are found by the prefix of one of them, and no other's with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.keys import (
    ObjectName,
    attachment_key,
    conversation_prefix,
    history_key,
    medium_of,
    medium_prefix,
    object_key,
    rendition_key,
    turn_prefixes,
)

names = st.text(min_size=1, max_size=8)
ids = st.from_regex(r"[0-9a-f]{8,32}", fullmatch=True)


@given(conversation=names, model=names, media_id=ids, other=ids)
def test_a_key_names_its_medium_and_its_prefix_holds_that_mediums_objects_alone(
    conversation: str, model: str, media_id: str, other: str
) -> None:
    key = object_key("audio", conversation, model, "20260102", media_id, "wav")
    waveform = rendition_key(key, "waveform")
    for one in (key, waveform):
        assert medium_of(one) == ObjectName("audio", conversation, model, media_id)
        assert medium_prefix(one) == medium_prefix(key)
        assert one.startswith(medium_prefix(key))
        assert one.startswith(conversation_prefix("audio", conversation))
    stranger = object_key("audio", conversation, model, "20260102", other, "wav")
    assert stranger.startswith(medium_prefix(key)) == (other == media_id)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "media/image/c/m/picture.png",
        "media/text/c/m/20260102_a.png",
        "private/a/b/1.png",
        "media/image/c/20260102_a.png",
        "media/image/c/m/20260102_a",
    ],
)
def test_a_key_of_another_form_names_nothing(key: str) -> None:
    assert medium_of(key) is None
    with pytest.raises(ValueError, match="no key of a medium"):
        medium_prefix(key)


@given(owner=names, turn=names)
def test_what_was_sent_with_a_turn_lies_below_its_prefixes(owner: str, turn: str) -> None:
    attachments, histories = turn_prefixes(owner, turn)
    assert attachment_key(owner, turn, 3, "png").startswith(attachments)
    assert history_key(owner, turn, 2).startswith(histories)
