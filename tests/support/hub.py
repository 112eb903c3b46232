"""A hub over a list of records instead of Kafka, and what comes to those who subscribe to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from polylogue.api.channel import Reduction
from polylogue.api.cursor import parse
from polylogue.api.hub import IDLE_S, Hub
from polylogue.api.subscription import Subscription
from polylogue.api.window import KEEPALIVE, Form
from polylogue.schemas.codec import event_codec
from tests.support.turns import CONVERSATION, Written, script

LOG_ID = "0a1b2c3d"
QUIET_S = 0.002


def url_for(key: str) -> str:
    return f"https://media.example/{key}"


class FakeProcess:
    """A hub with a tail and readers over a list of records."""

    def __init__(self, log: Sequence[Written], at: int) -> None:
        self.now = 0.0
        self.log = log
        self.reads = 0
        self.skipped: list[str] = []
        self.hub = Hub(read=self._read, url_for=url_for, skipped=self.skipped.append, clock=lambda: self.now)
        self.hub.begin({0: LOG_ID}, {0: at})

    async def _read(
        self, partition: int, key: bytes | None, start: int, stop: int
    ) -> AsyncIterator[Sequence[Written]]:
        self.reads += 1
        for offset in range(start, stop, 3):
            await asyncio.sleep(0)
            yield [one for one in self.log[offset : min(offset + 3, stop)] if one.key == key]

    def feed(self, to: int) -> None:
        at = self.hub.position(0)
        if to > at:
            self.hub.feed(0, self.log[at:to])

    async def subscribe(
        self, start: int, after: str | None = None, *, form: Form = "data", turn_id: str | None = None
    ) -> Subscription:
        channel = await self.hub.channel(CONVERSATION, 0, start)
        subscription = Subscription(
            self.hub,
            channel,
            form=form,
            after=parse(after) if after else None,
            start=1,
            turn_id=turn_id,
            turn_floor=1,
            keepalive_s=QUIET_S,
        )
        await subscription.prepare()
        return subscription

    def forget(self) -> None:
        self.hub.evict()
        self.now += IDLE_S + 1
        self.hub.evict()
        assert len(self.hub) == 0


def expected(log: Sequence[Written]) -> tuple[list[dict[str, Any]], list[int]]:
    """All visible frames, and for every offset the safest start of a reader who begins there."""
    reduction = Reduction(LOG_ID, 0, url_for, lambda _: None)
    seen: list[dict[str, Any]] = []
    starts = []
    for record in log:
        starts.append(reduction.state.start_offset(otherwise=1))
        if record.key == CONVERSATION.encode():
            seen += [msgspec.json.decode(frame.json) for frame in reduction.frames(record)]
    return seen, [*starts, reduction.state.start_offset(otherwise=1)]


def parsed(chunk: bytes) -> list[dict[str, Any]]:
    lines = chunk.split(b"\n\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"data: ") for line in lines)
    return [msgspec.json.decode(line[6:]) for line in lines]


async def quiet(subscription: Subscription) -> list[dict[str, Any]]:
    """What comes until nothing more does."""
    seen: list[dict[str, Any]] = []
    with subscription:
        async for chunk in subscription.chunks():
            if chunk in KEEPALIVE.values():
                break
            seen += parsed(chunk)
    return seen


def turn_log(texts: int = 3) -> list[Written]:
    made = script()
    one, two = (slot.response_id for slot in made.start.responses)
    written = [*made.opening(), *made.answer(one, *(["x"] * texts)), *made.answer(two)]
    key = CONVERSATION.encode()
    return [
        Written(0, b"", b""),
        *(Written(n, key, event_codec.encode(e)) for n, e in enumerate(written, start=1)),
    ]
