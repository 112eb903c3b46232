"""The log that the bench replays is one that the product could have written: canonical, in order, and all of it shown."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from bench.log_generator import FULL, TEXT, Mix, records
from polylogue.infra.kafka import partition_for
from polylogue.projections.reduction import reduce
from polylogue.schemas.codec import event_codec
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event

PARTITIONS = 4
COUNT = 5000


def events(mix: Mix, partition: int = 0) -> list[tuple[int, Event]]:
    found = []
    for offset, (_, value) in enumerate(islice(records(mix, partition, PARTITIONS), COUNT), start=1):
        event = event_codec.decode(value)
        assert isinstance(event, Event), event
        found.append((offset, event))
    return found


@pytest.mark.parametrize("mix", [TEXT, FULL], ids=lambda mix: mix.name)
def test_every_record_is_as_the_codec_writes_it_and_shown(mix: Mix) -> None:
    raw = list(islice(records(mix, 1, PARTITIONS), COUNT))
    assert all(
        event_codec.encode(event) == value for (_, event), (_, value) in zip(events(mix, 1), raw, strict=True)
    )
    states: dict[str, ConversationState] = {}
    assert len(reduce(states, events(mix, 1), 1)) == COUNT


@pytest.mark.parametrize("mix", [TEXT, FULL], ids=lambda mix: mix.name)
def test_keys_lie_on_their_partition_and_conversations_among_each_other(mix: Mix) -> None:
    keys = [key.decode() for key, _ in islice(records(mix, 2, PARTITIONS), COUNT)]
    assert {partition_for(key, PARTITIONS) for key in keys} == {2}
    assert len(set(keys[:200])) > 20


def test_the_same_seed_gives_the_same_log_and_another_one_another() -> None:
    first, again, other = (list(islice(records(FULL, 0, PARTITIONS, seed), 300)) for seed in (1, 1, 2))
    assert first == again != other


def test_the_mixes_are_what_they_are_called() -> None:
    text = Counter(type(event.data).__name__ for _, event in events(TEXT))
    full = Counter(type(event.data).__name__ for _, event in events(FULL))
    assert text["TextAppended"] > 0.95 * COUNT
    assert full["TextAppended"] < 0.85 * COUNT
    assert full.keys() >= {"ReasoningAppended", "MediaProduced", "MediaStored", "MediaRenditionsStored"}


def test_time_goes_on_in_a_partition() -> None:
    times = [event.occurred_at for _, event in events(FULL)]
    assert times == sorted(times)
    assert times[0] < times[-1]
