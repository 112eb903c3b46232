"""The fast way from bytes to event never disagrees with the codec, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.decoding import decode
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from tests.support.events import sample_story

EVENTS = sample_story("c").events
RECORDS = [json.loads(event_codec.encode(event)) for event in EVENTS]
WRONG = st.sampled_from(
    [
        None,
        0,
        -1,
        2,
        99,
        True,
        "",
        "x",
        "\x00",
        [],
        {},
        1.5,
        "2026-02-29T00:00:00.000Z",
        "2026-03-01T12:00:00Z",
        "TextAppended",
    ]
)


def _told(verdict: object) -> object:
    if isinstance(verdict, Event):
        return {name: getattr(verdict, name) for name in Event.__struct_fields__}
    return verdict


def test_every_event_is_the_same_by_either_way() -> None:
    for event in EVENTS:
        raw = event_codec.encode(event)

        assert _told(decode(raw)) == _told(event_codec.decode(raw)) == _told(event)


@given(st.data())
def test_a_record_with_something_wrong_in_it_is_judged_as_the_codec_judges(data: st.DataObject) -> None:
    record: dict[str, Any] = json.loads(json.dumps(data.draw(st.sampled_from(RECORDS))))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(
            st.sampled_from([record, record["data"]] if isinstance(record.get("data"), dict) else [record])
        )
        name = data.draw(st.sampled_from([*sorted(place), "unheard_of"]))
        if data.draw(st.booleans()):
            place.pop(name, None)
        else:
            place[name] = data.draw(WRONG)
    raw = json.dumps(record, ensure_ascii=data.draw(st.booleans())).encode()

    assert _told(decode(raw)) == _told(event_codec.decode(raw))


@given(st.sampled_from(RECORDS), st.integers(0, 300), st.binary(max_size=3))
def test_damaged_bytes_are_judged_as_the_codec_judges(
    record: dict[str, Any], place: int, damage: bytes
) -> None:
    raw = json.dumps(record).encode()
    damaged = raw[:place] + damage + raw[place + len(damage) :]

    assert _told(decode(damaged)) == _told(event_codec.decode(damaged))


def test_nothing_at_all_is_garbage() -> None:
    assert decode(None) == event_codec.decode(None)
    assert decode(b"") == event_codec.decode(b"")
