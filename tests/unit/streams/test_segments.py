"""A medium of many segments lies in the log in its order, whatever the producer lets overtake."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from polylogue.infra.settings import Settings
from polylogue.streams import segments
from polylogue.streams.segment_reader import SegmentCollector
from polylogue.streams.segments import SEGMENT_BYTES, MediaOutbox

COUNT = 12


class Overtaking:
    """A producer in which the later one of two sends that wait comes first, as happens where a batch is full."""

    def __init__(self, _: Settings, **__: Any) -> None:
        self.log: list[Any] = []
        self._sends = 0

    async def send(self, _: str, value: bytes, *, headers: tuple[tuple[str, bytes], ...], **__: Any) -> int:
        self._sends += 1
        for _turn in range(2 * COUNT - self._sends):
            await asyncio.sleep(0)
        self.log.append(SimpleNamespace(offset=len(self.log), value=value, headers=headers))
        return len(self.log) - 1


async def test_segments_lie_in_their_order_however_the_producer_orders_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments, "ReplaceableProducer", Overtaking)
    data = b"".join(bytes([number]) * SEGMENT_BYTES for number in range(COUNT)) + b"rest"
    outbox = MediaOutbox(Settings(_env_file=None))
    lies = await outbox.write_segments("m", data, hashlib.sha256(data).hexdigest())
    collected = SegmentCollector("m", lies)
    collected.add(cast("Overtaking", outbox._producer).log)
    found = collected.result()
    with found.spool:
        assert found.complete
        assert found.spool.sha256 == lies.sha256
    assert (lies.first_offset, lies.last_offset, lies.count) == (0, COUNT, COUNT + 1)
