"""A snapshot and its tail: whoever joins late, anywhere, knows the same as one who read every frame."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.api import snapshot as snapshots
from polylogue.api.channel import Reduction
from polylogue.api.cursor import parse
from polylogue.api.snapshot import Contents, begins_again, snapshot_frames
from polylogue.schemas import events
from polylogue.schemas.codec import event_codec
from tests.support.turns import CONVERSATION, Written, logs, script
from tests.unit.api.test_hub import FakeProcess, expected, parsed, quiet, turn_log

Known = dict[str, Any]
ENDS = {"stop": "completed", "error": "failed", "cancelled": "cancelled"}


def folded(frames: Iterable[dict[str, Any]], known: Known | None = None) -> Known:
    """What a client that keeps nothing but the last of everything knows; written without a look at the server's."""
    known = {} if known is None else known
    for frame in frames:
        one = known.get(frame.get("response_id", ""))
        match frame["type"]:
            case "start":
                known[frame["response_id"]] = {"text": "", "thought": "", "media": {}, "ended": None}
            case "snapshot":
                ended = frame["status"] if frame["status"] in ENDS.values() else None
                media = {
                    medium["media_id"]: (medium["status"], medium.get("url")) for medium in frame["media"]
                }
                known[frame["response_id"]] = {
                    "text": frame["content"],
                    "thought": frame["reasoning"],
                    "media": media,
                    "ended": ended,
                }
            case "chunk" if one:
                one["text"] += frame["content"]
            case "reasoning" if one:
                one["thought"] += frame["content"]
            case "media_pending" if one:
                one["media"][frame["media_id"]] = (frame["phase"], None)
            case "media" if one:
                one["media"][frame["media_id"]] = ("stored", frame["url"])
            case "done" if one:
                one["ended"] = ENDS[frame["finish_reason"]]
    return known


async def joined(process: FakeProcess, start: int, finished: Known) -> tuple[Known, Any]:
    """A late joiner: its snapshot, with what had ended taken from elsewhere, and its subscription for the tail."""
    subscription = await process.subscribe(start)
    channel = subscription._channel
    at, told, sequence = await process.hub.so_far(channel)
    encoded = snapshot_frames(CONVERSATION, told, at, begin=1)
    known = {name: one for name, one in finished.items() if name not in {one.response_id for one in told}}
    subscription.begin_with(encoded, at, sequence)
    return known, subscription


@settings(max_examples=150)
@given(logs(), st.data())
def test_a_snapshot_and_its_tail_tell_what_a_full_replay_tells(
    log: Sequence[Written], data: st.DataObject
) -> None:
    wanted, starts = expected(log)
    begun = data.draw(st.integers(1, len(log)), label="the process begins to read")
    joins = data.draw(st.integers(begun, len(log)), label="the reader joins")
    most = data.draw(st.sampled_from([0, 5, 10_000]), label="bytes kept")

    async def run() -> Known:
        process = FakeProcess(log, begun)
        watching = await process.subscribe(starts[begun])
        with watching:
            process.feed(joins)
            so_far = [frame for frame in wanted if parse(frame["id"]).offset < joins]
            known, subscription = await joined(process, starts[begun], folded(so_far))
            chunks = subscription.chunks()
            if subscription._backlog:
                known = folded(parsed(await anext(chunks)), known)
            process.feed(len(log))
            return folded(await quiet(subscription), known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contents.__init__, "__defaults__", (most,))
        assert asyncio.run(run()) == folded(wanted)


async def test_a_snapshot_of_a_long_answer_is_one_frame_with_the_cursor_it_stands_for() -> None:
    log = turn_log(texts=500)
    process = FakeProcess(log, 1)
    with await process.subscribe(1) as _:
        process.feed(400)
        _, subscription = await joined(process, 1, {})
        chunks = subscription.chunks()
        one, two = parsed(await anext(chunks))
        assert (one["type"], two["type"]) == ("snapshot", "snapshot")
        assert len(one["content"]) == 400 - 5
        assert parse(two["id"]).offset == 399
        process.feed(len(log))
        resumed = await quiet(await process.subscribe(1, two["id"]))
        assert resumed == [frame for frame in expected(log)[0] if frame["id"] > two["id"]]
        assert one["id"] < two["id"]


async def test_a_reader_who_got_a_part_of_a_snapshot_begins_again() -> None:
    log = turn_log()
    process = FakeProcess(log, 1)
    with await process.subscribe(1) as _:
        process.feed(6)
        at, told, _ = await process.hub.so_far(process.hub.find(CONVERSATION))  # type: ignore[arg-type]
        first, last = (parse(frame.id) for frame in snapshot_frames(CONVERSATION, told, at, begin=1))
    assert begins_again(first, 1)
    assert begins_again(None, 1)
    assert not begins_again(last, 1)
    process.feed(len(log))
    assert await quiet(await process.subscribe(1, str(first))) == expected(log)[0]


async def test_what_is_longer_than_is_kept_is_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contents.__init__, "__defaults__", (10,))
    log = turn_log(texts=30)
    process = FakeProcess(log, 1)
    with await process.subscribe(1) as subscription:
        process.feed(30)
        channel = subscription._channel
        assert channel.contents.lost
        assert not channel.contents.responses
        reads = process.reads
        _, told, _ = await process.hub.so_far(channel)
        assert process.reads == reads + 1
        assert [len(one.content) for one in told] == [30 - 5, 0]
        process.feed(len(log))  # the turn has ended: it is the tables' from here on
        assert not channel.contents.lost
        assert (await process.hub.so_far(channel))[1] == []


def test_every_state_of_a_medium_is_shown() -> None:
    made = script(models=1)
    (response,) = (slot.response_id for slot in made.start.responses)
    written = [*made.opening(), made.produced(response, "m1"), made.validated(response, "m1")]
    written.append(made.stored(response, "m1"))
    written.append(
        made._event(
            "m1.MediaExpired.0",
            events.MediaExpired(media_id="m1", media_type="image", reason="lifecycle"),
            response_id=response,
        )
    )
    contents = Contents()
    reduction = Reduction("0a1b2c3d", 0, str, lambda _: None, contents)
    states = []
    for offset, event in enumerate(written, start=1):
        reduction.frames(Written(offset, None, event_codec.encode(event)))
        states += [
            [(one.status, one.url is not None) for one in told.media]
            for told in snapshots.running(contents, reduction.state)
        ]
    assert states[-4:] == [
        [("validating", False)],
        [("uploading", False)],
        [("stored", True)],
        [("expired", False)],
    ]
