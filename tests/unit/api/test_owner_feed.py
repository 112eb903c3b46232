"""All conversations of an owner on one stream: exact over drops and processes, and nobody else's in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.api import vector
from polylogue.api.channel import Reduction
from polylogue.api.hub import Hub
from polylogue.api.owner_feed import BRIEF, unfinished_start
from polylogue.api.owner_reading import OwnerReading
from polylogue.api.vector import Stand, logs_digest, parse
from polylogue.api.window import KEEPALIVE
from polylogue.schemas.codec import event_codec
from tests.support.turns import Written, turn

LOG_IDS = {0: "0a1b2c3d", 1: "ffffffff"}
DIGEST = logs_digest(LOG_IDS)
MINE = {"a" * 32: 0, "b" * 32: 0, "d" * 32: 1}
OTHERS = {"c" * 32: 0, "e" * 32: 1}
KEPT = (
    1  # what is written twice here comes twice in a row, and logs are too short to forget anything otherwise
)
Logs = dict[int, list[Written]]


@st.composite
def partitions(draw: st.DrawFn) -> Logs:
    """Two partitions with several conversations each, of two owners, mixed at random; some records come twice, behind
    up to `KEPT` others."""
    written: Logs = {0: [Written(0, b"", b"named")], 1: [Written(0, b"", b"named")]}
    rows: dict[str, list[bytes]] = {}
    for number, conversation_id in enumerate([*MINE, *OTHERS], start=1):
        owner = "local" if conversation_id in MINE else "somebody else"
        rows[conversation_id] = []
        for count in range(draw(st.integers(0, 2))):
            made = draw(turn(count + 1, finished=draw(st.booleans()) or count == 0))
            for event in made:
                changed = msgspec.structs.replace(event, conversation_id=conversation_id, owner_id=owner)
                rows[conversation_id].append(event_codec.encode(changed))
        assert number
    while any(rows.values()):
        conversation_id = draw(st.sampled_from([one for one, row in rows.items() if row]))
        value = rows[conversation_id].pop(0)
        log = written[(MINE | OTHERS)[conversation_id]]
        log.append(Written(len(log), conversation_id.encode(), value))
        if draw(st.sampled_from([False, False, True])):
            again = draw(st.sampled_from(log[1:][-KEPT:]))
            log.append(Written(len(log), again.key, again.value))
    return written


class FakeProcess:
    def __init__(self, logs: Logs, at: dict[int, int]) -> None:
        self.logs, self.now, self.tables = logs, 0.0, dict(at)
        self.hub = Hub(read=self._read, url_for=str, locate=self._locate, clock=lambda: self.now)
        self.hub.begin(LOG_IDS, at)

    async def _read(
        self, partition: int, key: bytes | None, start: int, stop: int
    ) -> AsyncIterator[Sequence[Written]]:
        for offset in range(start, stop, 3):
            await asyncio.sleep(0)
            records = self.logs[partition][offset : min(offset + 3, stop)]
            yield [one for one in records if key is None or one.key == key]

    async def _locate(self, _owner: str, conversation_id: str) -> int | None:
        await asyncio.sleep(0)
        # What the tables say, which are a moment behind the tail.
        position = self.tables[MINE[conversation_id]]
        state = reduced(self.logs, conversation_id, position)[1]
        return int(state.start_offset(otherwise=self.first(conversation_id)))

    def first(self, conversation_id: str) -> int:
        key, log = conversation_id.encode(), self.logs[MINE[conversation_id]]
        return next(one.offset for one in log if one.key == key)

    def feed(self, partition: int, records: int) -> None:
        at = self.tables[partition] = self.hub.position(partition)
        self.hub.feed(partition, self.logs[partition][at : at + records])

    async def settled(self) -> None:
        """All conversations that have been opened are caught up."""
        loading = [one.loading for one in self.hub._channels.values() if one.loading is not None]
        await asyncio.gather(*loading, return_exceptions=True)

    async def read(self, after: str | None, *, content: bool = True) -> OwnerReading:
        feed = self.hub.feed_for("local")
        for conversation_id, partition in MINE.items():
            position = self.hub.position(partition)
            if any(one.key == conversation_id.encode() for one in self.logs[partition][:position]):
                state = reduced(self.logs, conversation_id, position)[1]
                first = self.first(conversation_id)
                feed.is_unfinished(partition, conversation_id, state.start_offset(otherwise=first))
                feed.settle(partition, conversation_id, unfinished_start(state))
        reading = OwnerReading(self.hub, feed, content=content, keepalive_s=0.002)
        await reading.prepare(parse(after, DIGEST, 2) if after else None)
        return reading


def reduced(logs: Logs, conversation_id: str, stop: int) -> tuple[list[Any], Any]:
    partition = (MINE | OTHERS)[conversation_id]
    reduction = Reduction(LOG_IDS[partition], partition, str, lambda _: None)
    frames = [
        frame
        for record in logs[partition][:stop]
        if record.key == conversation_id.encode()
        for frame in reduction.frames(record)
    ]
    return frames, reduction.state


def wanted(logs: Logs, since: dict[int, int], *, content: bool = True) -> dict[int, list[dict[str, Any]]]:
    """Per partition, all frames of mine in the log's order, without a look at how the feed finds them."""
    found: dict[int, list[Any]] = {0: [], 1: []}
    for conversation_id, partition in MINE.items():
        for frame in reduced(logs, conversation_id, len(logs[partition]))[0]:
            if frame.place.offset >= since[partition] and (content or frame.type in BRIEF):
                found[partition].append(frame)
    return {
        partition: [msgspec.json.decode(one.json) for one in sorted(frames, key=lambda one: one.place)]
        for partition, frames in found.items()
    }


def parsed(chunk: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(id, frame)"""
    blocks = [block.split(b"\n") for block in chunk.split(b"\n\n") if block]
    assert all([line.split(b":")[0] for line in block] == [b"id", b"event", b"data"] for block in blocks)
    return [(block[0][4:].decode(), msgspec.json.decode(block[2][6:])) for block in blocks]


async def quiet(reading: OwnerReading) -> list[tuple[str, dict[str, Any]]]:
    seen: list[tuple[str, dict[str, Any]]] = []
    with reading:
        async for chunk in reading.chunks():
            if chunk in KEEPALIVE.values():
                break
            seen += parsed(chunk)
    return seen


def by_partition(frames: Sequence[tuple[str, dict[str, Any]]]) -> dict[int, list[dict[str, Any]]]:
    return {
        partition: [frame for _, frame in frames if MINE[frame["conversation_id"]] == partition]
        for partition in (0, 1)
    }


def without_ids(frames: dict[int, list[dict[str, Any]]]) -> dict[int, list[dict[str, Any]]]:
    """The place of a frame without its start, which depends on where its reader began."""
    return {
        partition: [one | {"id": one["id"].rsplit("-", 1)[0]} for one in row]
        for partition, row in frames.items()
    }


steps = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 8), st.integers(0, 6), st.booleans()),
    max_size=8,
)


@settings(max_examples=100)
@given(partitions(), st.data(), steps, st.booleans(), st.sampled_from([KEPT, vector.KEPT_RECORDS]))
def test_a_reader_of_all_that_comes_and_goes_sees_everything_of_its_owner_once(
    logs: Logs, data: st.DataObject, steps: list[tuple[int, int, int, int, bool]], content: bool, kept: int
) -> None:
    since = {one: data.draw(st.integers(1, len(log))) for one, log in logs.items()}

    async def run() -> list[tuple[str, dict[str, Any]]]:
        processes = [FakeProcess(logs, since), FakeProcess(logs, since)]
        taken: list[tuple[str, dict[str, Any]]] = []
        last = (await processes[0].read(None, content=content)).last_id
        for number, one, two, most, watched in [*steps, (0, 1000, 1000, 10_000, True)]:
            process = processes[number]
            stands = parse(last, DIGEST, 2)
            for partition in (0, 1):  # a cursor may be of a process that is ahead
                behind = stands[partition].offset + 1 - process.hub.position(partition)
                process.feed(partition, max(0, behind))
            reading = await process.read(last, content=content) if watched else None
            process.feed(0, one)
            process.feed(1, two)
            reading = reading or await process.read(last, content=content)
            await process.settled()
            frames = await quiet(reading)
            taken += frames[:most]
            last = taken[-1][0] if frames[:most] else last
        return taken

    with patch.object(vector, "KEPT_RECORDS", kept):
        seen = by_partition(asyncio.run(run()))
    assert without_ids(seen) == without_ids(wanted(logs, since, content=content))


async def test_a_conversation_that_cannot_be_read_sends_its_readers_off_with_what_they_have_had() -> None:
    logs: Logs = {0: [Written(0, b"", b"named")], 1: [Written(0, b"", b"named")]}
    for conversation_id in ("a" * 32, "b" * 32):
        event = next(iter(_opening(conversation_id)))
        logs[0].append(Written(len(logs[0]), conversation_id.encode(), event_codec.encode(event)))
    process = FakeProcess(logs, {0: 1, 1: 1})
    reading = await process.read(None)
    began = reading.last_id

    async def broken(_owner: str, _conversation_id: str) -> int | None:
        raise OSError

    process.hub._locate = broken
    process.feed(0, 2)
    await process.settled()
    chunks = [chunk async for chunk in reading.chunks()]
    ((last, gap),) = parsed(chunks[-1])
    assert (gap["reason"], gap["resume_from"], last) == ("slow", began, began)
    other = FakeProcess(logs, {0: 3, 1: 1})
    assert len(await quiet(await other.read(began))) == 2


def _opening(conversation_id: str) -> list[Any]:
    from tests.support.turns import script

    return list(script(conversation_id=conversation_id).opening())


def test_a_reader_is_told_where_it_stands_before_anything_came() -> None:
    async def run() -> str:
        return (await FakeProcess({0: [], 1: []}, {0: 7, 1: 9}).read(None)).last_id

    assert parse(asyncio.run(run()), DIGEST, 2) == {0: Stand.before(7), 1: Stand.before(9)}
