"""One turn's stream ends with its `complete`, whatever is told of its media later and wherever it is read from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.api import channel as channels
from polylogue.api.channel import Channel
from polylogue.api.cursor import parse
from polylogue.api.ending import Ending
from polylogue.api.live_stream import LiveStream
from polylogue.api.snapshot import snapshot_frames
from polylogue.api.subscription import Subscription
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Command, Event
from tests.support.hub import FakeProcess, expected, parsed, quiet
from tests.support.script import Script
from tests.support.socket_pair import Socket
from tests.support.turns import CONVERSATION, Written, script

TURN = script().command.turn_id
ENDED = (TURN, "complete")


def logged(*written: Event) -> list[Written]:
    key = CONVERSATION.encode()
    made = [Written(n, key, event_codec.encode(event)) for n, event in enumerate(written, start=1)]
    return [Written(0, b"", b""), *made]


def painted(made: Script, *, response: int = 0) -> list[Event]:
    """An answer with a picture, which is the last that the round waits for; its smaller versions come later."""
    slot = made.start.responses[response].response_id
    answer = [made.produced(slot, f"m-{slot}"), *made.answer(slot, "x")]
    return [*answer, made.stored(slot, f"m-{slot}"), made.renditions(slot, f"m-{slot}")]


def turn(number: int) -> list[Event]:
    made = script(number, models=1)
    return [*made.opening(), *painted(made)]


def two_turns() -> list[Written]:
    return logged(*turn(1), *turn(2))


def second_round() -> list[Event]:
    first = script(1, models=1)
    slots = tuple(type(slot)(response_id=f"{TURN}-2", model="sim/2") for slot in first.start.responses)
    start = type(first.start)(prompt=first.start.prompt, responses=slots, round=2)
    command = first.command
    made = Script(
        Command(
            command_id=f"{TURN}-start-2",
            conversation_id=command.conversation_id,
            turn_id=TURN,
            owner_id=command.owner_id,
            issued_at=command.issued_at,
            first_sent_at_ms=command.first_sent_at_ms,
            data=start,
        ),
        command_offset=2,
    )
    return [*made.opening(), *painted(made)]


def kinds(seen: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in seen]


def through_complete(seen: list[dict[str, Any]], turn_id: str) -> list[dict[str, Any]]:
    """What a reader of the turn is to see of all frames."""
    mine = [frame for frame in seen if frame.get("turn_id") == turn_id]
    return mine[: max(n for n, frame in enumerate(mine, start=1) if frame["type"] == "complete")]


def wanted(log: list[Written], turn_id: str = TURN) -> list[dict[str, Any]]:
    return through_complete(expected(log)[0], turn_id)


async def all_of(subscription: Subscription) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [frame async for chunk in subscription.chunks() for frame in parsed(chunk)]


def test_the_smaller_versions_come_after_the_end_in_these_logs() -> None:
    assert kinds(expected(logged(*turn(1)))[0])[-2:] == ["complete", "media_renditions"]


async def test_complete_is_the_last_frame_from_the_window_and_only_of_the_turn() -> None:
    log = two_turns()
    process = FakeProcess(log, 1)
    await process.hub.channel(CONVERSATION, 0, 1)
    process.feed(len(log))
    seen = await all_of(await process.subscribe(1, turn_id=TURN))
    assert seen == wanted(log)
    assert kinds(await quiet(await process.subscribe(1))).count("media_renditions") == 2


@pytest.mark.parametrize("window", [1, 2, 4096])
async def test_complete_is_the_last_frame_from_the_catch_up(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MOST_FRAMES", window)
    log = two_turns()
    process = FakeProcess(log, 1)
    await process.hub.channel(CONVERSATION, 0, 1)
    for to in range(2, len(log) + 1):
        process.feed(to)
    assert await all_of(await process.subscribe(1, turn_id=TURN)) == wanted(log)
    # By one who has caught up from the latest turn only, and knows nothing of the first.
    _, starts = expected(log)
    late = FakeProcess(log, len(log))
    assert await all_of(await late.subscribe(starts[-1], turn_id=TURN)) == wanted(log)


@pytest.mark.parametrize("window", [1, 4096])
async def test_whoever_has_had_complete_is_told_that_nothing_is_left(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MOST_FRAMES", window)
    log = two_turns()
    process = FakeProcess(log, len(log))
    for start in (1, expected(log)[1][-1]):
        process.forget()
        for frame in wanted(log)[:-1]:
            assert not (await process.subscribe(start, frame["id"], turn_id=TURN)).over
        after = [frame for frame in expected(log)[0] if frame["id"] >= wanted(log)[-1]["id"]]
        for frame in after:
            assert (await process.subscribe(start, frame["id"], turn_id=TURN)).over


async def test_a_stream_of_all_turns_goes_on_after_complete() -> None:
    log = two_turns()
    process = FakeProcess(log, len(log))
    ended = wanted(log)[-1]["id"]
    rest = await quiet(await process.subscribe(1, ended))
    assert kinds(rest)[0] == "media_renditions"
    assert [*(f for f in expected(log)[0] if f["id"] <= ended), *rest] == expected(log)[0]


async def test_complete_is_the_last_frame_after_a_snapshot() -> None:
    log = logged(*turn(1))
    process = FakeProcess(log, 4)
    subscription = await process.subscribe(1, turn_id=TURN)
    channel = await process.hub.channel(CONVERSATION, 0, 1)
    at, told, sequence = await process.hub.so_far(channel)
    subscription.begin_with(snapshot_frames(CONVERSATION, told, at, 1), at, sequence)
    process.feed(len(log))
    seen = await all_of(subscription)
    assert (kinds(seen)[0], kinds(seen)[-1]) == ("snapshot", "complete")
    assert (await process.subscribe(1, seen[-1]["id"], turn_id=TURN)).over


async def test_a_further_round_is_read_to_its_own_complete() -> None:
    first, further = turn(1), second_round()
    log = logged(*first, *further)
    process = FakeProcess(log, len(first) + 1)
    channel = await process.hub.channel(CONVERSATION, 0, 1)
    one = wanted(logged(*first))
    waiting = Subscription(
        process.hub,
        channel,
        form="data",
        after=parse(one[-1]["id"]),
        turn_id=TURN,
        turn_floor=1,
        turn_round=2,
    )
    await waiting.prepare()
    assert not waiting.over
    process.feed(len(log))
    seen = await all_of(waiting)
    assert one + seen == wanted(log)
    assert kinds(seen)[0] == "media_renditions"
    assert kinds(seen).count("complete") == 1


@pytest.mark.parametrize("why", ["slow", "stopping"])
async def test_one_who_has_had_complete_is_sent_off_with_nothing_more(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MOST_FRAMES", 1)
    log = two_turns()
    process = FakeProcess(log, 1)
    subscription = await process.subscribe(1, turn_id=TURN)
    process.feed(len(turn(1)) + 1)
    data, over = subscription.next_piece()
    assert data is not None
    assert not over
    assert kinds(parsed(data))[-1] == "complete"
    if why == "stopping":
        process.hub.stop()
    else:
        for to in range(len(turn(1)) + 1, len(log) + 1):
            process.feed(to)
        assert subscription.window.base > 10
    assert subscription.next_piece() == (None, True)


comings = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 100), st.booleans()), max_size=12
)


@settings(max_examples=150)
@given(comings, st.integers(1, 64), st.integers(1, 2))
def test_a_reader_of_one_turn_that_comes_and_goes_sees_all_of_it_once_and_nothing_after(
    steps: list[tuple[int, int, int, bool]], window: int, number: int
) -> None:
    log = two_turns()
    turn_id = script(number).command.turn_id
    _, starts = expected(log)

    async def run() -> list[dict[str, Any]]:
        processes = [FakeProcess(log, 1), FakeProcess(log, 1)]
        taken: list[dict[str, Any]] = []
        for which, brought, most, forgets in [*steps, (0, len(log), 10_000, False)]:
            process = processes[which]
            if forgets:
                process.forget()
            last = taken[-1]["id"] if taken else None
            at = process.hub.position(0)
            process.feed(min(len(log), max(at + brought, parse(last).offset + 1 if last else 0)))
            start = starts[process.hub.position(0)]
            subscription = await process.subscribe(start, last, turn_id=turn_id)
            if number == 2:
                subscription._turn_floor = len(turn(1)) + 1
            if last is not None and taken[-1]["type"] == "complete":
                assert subscription.over
            taken += (await quiet(subscription))[:most]
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "MOST_FRAMES", window)
        assert asyncio.run(run()) == wanted(log, turn_id)


async def live(process: FakeProcess, channel: Channel, *, number: int, sent: Socket) -> LiveStream:
    subscription = Subscription(
        process.hub, channel, form="data", start=1, turn_id=TURN, turn_floor=1, turn_round=number
    )
    await subscription.prepare()
    end = Ending()
    end.enter(subscription)
    stream = LiveStream(subscription, process.hub.live, end)
    connection: Any = sent
    assert stream.start(connection)
    return stream


@pytest.mark.parametrize("at_once", [1, 1000])
async def test_live_readers_get_complete_last_and_those_of_a_further_round_go_on(at_once: int) -> None:
    log = logged(*turn(1), *second_round())
    process = FakeProcess(log, 3)
    channel = await process.hub.channel(CONVERSATION, 0, 1)
    ends = len(turn(1)) + 1
    sockets = [Socket() for _ in range(4)]
    for number, sent in enumerate(sockets):
        await live(process, channel, number=1 + number % 2, sent=sent)
    for to in [*range(3, ends, at_once), ends]:
        process.feed(to)
    assert [sent.closed for sent in sockets] == [True, False, True, False]
    assert [sent.read() for sent in sockets[::2]] == [wanted(logged(*turn(1)))] * 2
    for to in [*range(ends, len(log), at_once), len(log)]:
        process.feed(to)
    assert all(sent.closed for sent in sockets)
    assert [sent.read() for sent in sockets[1::2]] == [wanted(log)] * 2
    assert len(process.hub.live) == 0
    assert channel.audiences == {}
    for sent in sockets:
        sent.release()
