"""A medium of many segments lies in the log in its order, whatever the producer lets overtake and wherever it fails."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.settings import Settings
from polylogue.streams import replaceable_producer
from polylogue.streams.replaceable_producer import UNDER_WAY, ReplaceableProducer
from polylogue.streams.segments import MediaOutbox
from tests.support.segment_log import SMALL, Log, assert_lies_there, written_to

COUNT = 12


async def written(log: Log, data: bytes) -> None:
    """Writes a medium and reads it as the media agent does."""
    with written_to(log):
        outbox = MediaOutbox(Settings(_env_file=None))
        lies = await outbox.write_segments("m", data, hashlib.sha256(data).hexdigest())
        await outbox.close()
    assert_lies_there(log, lies, "m")
    assert lies.count == COUNT + 1


DATA = b"".join(bytes([number]) * SMALL for number in range(COUNT)) + b"rest"


async def test_segments_lie_in_their_order_with_several_on_their_way() -> None:
    log = Log()
    await written(log, DATA)
    assert len(log.records) == COUNT + 1
    assert log.most_under_way == UNDER_WAY


@given(deaths=st.lists(st.tuples(st.integers(1, 3 * COUNT), st.booleans()), max_size=4))
def test_a_medium_is_whole_wherever_producers_die(deaths: list[tuple[int, bool]]) -> None:
    asyncio.run(written(Log(sorted(deaths)), DATA))


async def test_several_media_at_once_do_not_mix_up_each_other_s_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    monkeypatch.setattr(replaceable_producer, "idempotent_producer", log.producer)
    shared = ReplaceableProducer(Settings(_env_file=None))

    def of(name: str) -> Any:
        return lambda number: (f"{name}{number}".encode(), ())

    ways = (shared.send_in_order("t", COUNT, of(name), key=None, partition=0) for name in "abc")
    for name, offsets in zip("abc", await asyncio.gather(*ways), strict=True):
        values = [record.value.decode() for record in log.records if record.value.decode()[0] == name]
        assert values == [f"{name}{number}" for number in range(COUNT)]
        assert [log.records[offset].value.decode() for offset in offsets] == values
