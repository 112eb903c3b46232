"""The hub over random logs: whoever leaves and comes back, wherever, sees every visible frame once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.api import channel as channels
from polylogue.api.channel import Reduction
from polylogue.api.cursor import parse
from polylogue.api.hub import IDLE_S, LogTruncatedError, NotReadyError
from polylogue.schemas import events
from polylogue.schemas.codec import event_codec
from tests.support.hub import LOG_ID, FakeProcess, expected, parsed, quiet, turn_log, url_for
from tests.support.turns import CONVERSATION, Written, logs, script

steps = st.lists(
    st.tuples(
        st.integers(0, 1),  # the process
        st.integers(0, 12),  # how many records its tail brings
        st.integers(0, 100),  # how many of the frames that come are taken before the connection drops
        st.booleans(),  # whether the process has forgotten the conversation by then
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(logs(), steps, st.integers(1, 4096))
def test_a_reader_that_comes_and_goes_sees_everything_once(
    log: list[Written], steps: list[tuple[int, int, int, bool]], window: int
) -> None:
    wanted, starts = expected(log)

    async def run() -> list[dict[str, Any]]:
        processes = [FakeProcess(log, 1), FakeProcess(log, 1)]
        taken: list[dict[str, Any]] = []
        last: str | None = None
        for number, brought, most, forgets in [*steps, (0, len(log), 10_000, False)]:
            process = processes[number]
            if forgets:
                process.forget()
            at = process.hub.position(0)
            process.feed(min(len(log), max(at + brought, parse(last).offset + 1 if last else 0)))
            position = process.hub.position(0)
            frames = await quiet(await process.subscribe(starts[position], last))
            taken += frames[:most]
            last = taken[-1]["id"] if taken else None
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "MOST_FRAMES", window)
        assert asyncio.run(run()) == wanted


@settings(max_examples=60)
@given(logs(), st.data())
def test_records_that_come_while_a_reader_catches_up_are_neither_lost_nor_doubled(
    log: list[Written], data: st.DataObject
) -> None:
    wanted, starts = expected(log)
    at = data.draw(st.integers(1, len(log)))
    pieces = data.draw(st.lists(st.integers(1, 5), max_size=20))

    async def run() -> list[dict[str, Any]]:
        process = FakeProcess(log, at)
        opening = asyncio.create_task(process.subscribe(starts[at]))
        for piece in pieces:
            await asyncio.sleep(0)
            process.feed(min(len(log), process.hub.position(0) + piece))
        subscription = await opening
        process.feed(len(log))
        return await quiet(subscription)

    assert asyncio.run(run()) == wanted


async def test_many_readers_who_come_at_once_share_one_read_and_the_same_bytes() -> None:
    process = FakeProcess(turn_log(), len(turn_log()))
    opened = await asyncio.gather(*(process.subscribe(1) for _ in range(50)))
    chunks = [await anext(one.chunks()) for one in opened]
    assert process.reads == 1
    assert all(chunk is chunks[0] for chunk in chunks)


async def test_a_stream_of_a_turn_ends_with_the_turn_and_is_over_after_its_last_frame() -> None:
    log = turn_log()
    process = FakeProcess(log, len(log))
    turn_id = script().command.turn_id
    subscription = await process.subscribe(1, turn_id=turn_id)
    assert not subscription.over
    seen = [frame for chunk in [chunk async for chunk in subscription.chunks()] for frame in parsed(chunk)]
    assert seen[-1]["type"] == "complete"
    assert (await process.subscribe(1, seen[-1]["id"], turn_id=turn_id)).over
    assert not (await process.subscribe(1, seen[-2]["id"], turn_id=turn_id)).over


async def test_a_stream_of_a_prompt_that_crossed_the_deletion_of_its_conversation_ends() -> None:
    log = turn_log()
    deleted = msgspec.structs.replace(script(9)._event("deleted", events.ConversationDeleted()), turn_id=None)
    log.append(Written(len(log), CONVERSATION.encode(), event_codec.encode(deleted)))
    process = FakeProcess(log, len(log) - 1)
    crossed, finished = (script(number).command.turn_id for number in (2, 1))
    subscription = await process.subscribe(1, turn_id=crossed)
    subscription._turn_floor = len(log)  # submitted a moment ago
    assert not subscription.over
    process.feed(len(log))
    seen = await quiet(subscription)
    assert (seen[-1]["type"], seen[-1]["change"]) == ("conversation", "deleted")
    assert subscription.over
    # One that was begun ends as it always does: with its `complete`.
    assert (await quiet(await process.subscribe(1, turn_id=finished)))[-1]["type"] == "complete"


async def test_a_reader_the_window_has_moved_past_is_cut_off_with_a_cursor_that_resumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "MOST_FRAMES", 2)
    log = turn_log(texts=20)
    process = FakeProcess(log, 1)
    subscription = await process.subscribe(1)
    process.feed(6)
    chunks = subscription.chunks()
    seen = parsed(await anext(chunks))
    for to in range(7, len(log) + 1):  # nobody reads meanwhile
        process.feed(to)
    (gap,) = parsed(await anext(chunks))
    assert (gap["type"], gap["reason"], gap["resume_from"]) == ("gap", "slow", seen[-1]["id"])
    assert [chunk async for chunk in chunks] == []
    resumed = await process.subscribe(1, gap["resume_from"])
    assert seen + await quiet(resumed) == expected(log)[0]


async def test_a_stopping_process_sends_every_reader_off_with_a_cursor() -> None:
    log = turn_log()
    process = FakeProcess(log, 1)
    watching = await process.subscribe(1)
    process.feed(4)
    chunks = watching.chunks()
    seen = parsed(await anext(chunks))
    process.hub.stop()
    (gap,) = parsed(await anext(chunks))
    assert (gap["reason"], gap["resume_from"]) == ("shutdown", seen[-1]["id"])
    with pytest.raises(NotReadyError):
        process.hub.position(0)


async def test_a_reader_without_any_frame_is_sent_off_with_a_cursor_that_begins_at_the_start() -> None:
    log = turn_log()
    process, other = FakeProcess(log, 1), FakeProcess(log, len(log))
    watching = await process.subscribe(1)
    process.hub.stop()
    (gap,) = parsed(await anext(watching.chunks()))
    assert await quiet(await other.subscribe(1, gap["resume_from"])) == expected(log)[0]


async def test_a_failed_catch_up_is_told_to_all_who_wait_and_tried_anew_by_the_next() -> None:
    log = turn_log()
    process = FakeProcess(log, len(log))
    working, failing = process._read, True

    async def read(*place: Any) -> AsyncIterator[Sequence[Written]]:
        if failing:
            raise LogTruncatedError(0, 5)
        async for records in working(*place):
            yield records

    process.hub.past._read = read  # type: ignore[assignment]
    results = await asyncio.gather(process.subscribe(1), process.subscribe(1), return_exceptions=True)
    assert [type(result) for result in results] == [LogTruncatedError] * 2
    failing = False
    assert await quiet(await process.subscribe(1)) == expected(log)[0]


async def test_what_cannot_be_read_is_skipped_and_counted() -> None:
    key = CONVERSATION.encode()
    opening = list(script().opening())
    unknown = event_codec.encode(opening[0]).replace(b"ConversationStarted", b"ConversationDreamt")
    newer = event_codec.encode(opening[0]).replace(b'"version":1', b'"version":99')
    values = [None, b"{", unknown, newer, *map(event_codec.encode, opening)]
    log = [Written(0, b"", b""), *(Written(n, key, value) for n, value in enumerate(values, start=1))]
    process = FakeProcess(log, 1)
    subscription = await process.subscribe(1)
    process.feed(len(log))
    assert process.skipped == ["garbage", "garbage", "unknown_type", "newer_version"]
    assert [frame["type"] for frame in await quiet(subscription)] == [
        "conversation",
        "turn",
        "start",
        "start",
    ]


async def test_a_conversation_somebody_watches_is_not_forgotten() -> None:
    log = turn_log()
    process = FakeProcess(log, len(log))
    with await process.subscribe(1):
        process.hub.evict()
        process.now += IDLE_S * 10
        process.hub.evict()
        assert len(process.hub) == 1
    process.now += IDLE_S / 2
    process.hub.evict()
    assert len(process.hub) == 1
    process.now += IDLE_S
    process.hub.evict()
    assert len(process.hub) == 0


async def test_a_cursor_from_a_process_that_is_ahead_waits_for_the_tail() -> None:
    log = turn_log()
    behind, ahead = FakeProcess(log, 1), FakeProcess(log, len(log))
    all_frames = await quiet(await ahead.subscribe(1))
    opening = asyncio.create_task(behind.subscribe(1, all_frames[-2]["id"]))
    for to in range(2, len(log) + 1):
        await asyncio.sleep(0)
        assert not opening.done()
        behind.feed(to)
    assert await quiet(await opening) == all_frames[-1:]


def test_events_that_no_frame_tells_make_none() -> None:
    made = script()
    reduction = Reduction(LOG_ID, 0, url_for, lambda _: None)
    opening = list(made.opening())
    rated = made._event("rated", events.AnswerRated(note="good"))
    frames = [
        reduction.frames(Written(n, None, event_codec.encode(event)))
        for n, event in enumerate([*opening, rated], start=1)
    ]
    assert [len(one) for one in frames] == [1, 3, 0, 0, 0]
