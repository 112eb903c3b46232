"""Streams on real Kafka and Postgres: a prompt becomes a command, events become frames, cursors resume exactly."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from polylogue.api import submissions
from polylogue.infra.postgres import connection_string
from polylogue.schemas import events
from polylogue.schemas.commands import CancelTurn, StartTurn
from tests.support.api_server import api_server
from tests.support.played import Played
from tests.support.script import Script, Wire
from tests.support.sse_client import frames

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

BODY = {"input_data": "Draw a red circle", "models": ["sim/text", "sim/painter"]}


async def test_a_prompt_becomes_a_command_and_events_become_frames_in_order(played: Played) -> None:
    client, wire = played.one, played.wire
    async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        script = await wire.script()
        assert isinstance(script.command.data, StartTurn)
        assert script.command.conversation_id == stream.response.headers["x-conversation-id"]
        assert script.command.turn_id == stream.response.headers["x-turn-id"]
        assert script.start.prompt == BODY["input_data"]
        assert script.start.new_conversation
        one, two = (slot.response_id for slot in script.start.responses)
        await wire.write(*script.opening(), *script.answer(one, "Hel", "lo"))
        await wire.write(script.produced(two, "m1"))
        await wire.write(script.said(two, events.ResponseCompleted(finish_reason="stop")))
        await wire.write(script.validated(two, "m1"), script.stored(two, "m1"))
        seen = await stream.rest()
    assert [frame["type"] for frame in seen] == (
        [
            "conversation",
            "turn",
            "start",
            "start",
            "chunk",
            "chunk",
            "done",
            "media_pending",
            "done",
            "media_pending",
            "media",
            "complete",
        ]
    )
    assert [frame["model"] for frame in seen[2:4]] == BODY["models"]
    assert seen[-1]["metadata"]["models_successful"] == 2
    assert [frame["phase"] for frame in seen if frame["type"] == "media_pending"] == [
        "validating",
        "uploading",
    ]
    ids = [frame["id"] for frame in seen]
    assert ids == sorted(set(ids))


async def test_a_reader_that_drops_at_random_points_and_comes_back_to_either_process_misses_nothing(
    played: Played,
) -> None:
    chance = random.Random(7)
    clients, wire = (played.one, played.other), played.wire
    async with frames(clients[0], "POST", "/api/v1/compare-stream", json=BODY) as whole:
        script = await wire.script()
        one, two = (slot.response_id for slot in script.start.responses)
        conversation_id, turn_id = script.command.conversation_id, script.command.turn_id

        async def write() -> None:
            await wire.write(*script.opening())
            for number in range(200):
                response = chance.choice((one, two))
                said = script.said(response, events.TextAppended(text=f"{number} "))
                await wire.write(said, *([said] if chance.random() < 0.2 else []))
                if chance.random() < 0.1:
                    await wire.write_raw(conversation_id, b"garbage")
            await wire.write(*script.answer(one), *script.answer(two))

        writing = asyncio.create_task(write())
        seen: list[dict[str, Any]] = []
        for reconnects in range(1000):
            client = chance.choice(clients)
            most = chance.randint(1, 9) if reconnects < 20 else 10_000
            standard = chance.random() < 0.5
            after = seen[-1]["id"] if seen else None
            if standard:
                url = f"/api/v1/conversations/{conversation_id}/events?turn={turn_id}"
                options: dict[str, Any] = {"headers": {"Last-Event-ID": after}} if after else {}
            else:
                url = f"/api/compare-stream/{conversation_id}?turn={turn_id}"
                options = {"params": {"turn": turn_id, "after": after}} if after else {}
            async with frames(client, "GET", url, standard=standard, **options) as stream:
                if stream.response.status_code == 204:
                    break
                async for frame in stream:
                    seen.append(frame)
                    most -= 1
                    if not most:
                        break
        assert reconnects > 20, "every drop was one"
        await writing
        assert seen == await whole.rest()
    assert len(seen) == 1 + 3 + 200 + 3
    texts = [frame["content"] for frame in seen if frame["type"] == "chunk"]
    assert texts == [f"{number} " for number in range(200)]


async def test_a_stream_of_a_conversation_replays_from_its_start_and_stays_open_between_turns(
    played: Played,
) -> None:
    client, wire = played.one, played.wire
    script = await ended_turn(client, wire)
    url = f"/api/conversations/{script.command.conversation_id}/events"
    async with frames(client, "GET", url, standard=True) as stream:
        first = await stream.until("complete")
    async with frames(client, "GET", url, standard=True, params={"after": first[-2]["id"]}) as stream:
        rest = stream.frames()
        assert await anext(rest) == first[-1]
        renamed = script._event("renamed", events.ConversationRenamed(title="New"))
        await wire.write(msgspec.structs.replace(renamed, command_offset=99))
        assert (await anext(rest))["title"] == "New"
    both = {"params": {"after": first[0]["id"]}, "headers": {"Last-Event-ID": first[-2]["id"]}}
    async with frames(client, "GET", url, standard=True, **both) as stream:
        assert await anext(stream.frames()) == first[-1], "Last-Event-ID wins over after"


async def test_a_finished_turn_answers_204_once_nothing_lies_after_the_cursor(played: Played) -> None:
    client, wire = played.one, played.wire
    script = await ended_turn(client, wire)
    turn = script.command.turn_id
    url = f"/api/conversations/{script.command.conversation_id}/events"
    async with frames(client, "GET", url, standard=True, params={"turn": turn}) as stream:
        seen = await stream.rest()
    assert seen[-1]["type"] == "complete"
    over = await client.get(url, params={"turn": turn, "after": seen[-1]["id"]})
    assert over.status_code == 204
    again = await client.get(url, params={"turn": turn, "after": seen[-2]["id"]})
    assert again.status_code == 200


async def test_a_client_that_goes_away_does_not_stop_the_turn(played: Played) -> None:
    client, wire = played.one, played.wire
    async with frames(client, "POST", "/api/compare-stream", json=BODY):
        script = await wire.script()
    await wire.write(*script.opening())
    for slot in script.start.responses:
        await wire.write(*script.answer(slot.response_id, "x"))
    url = f"/api/compare-stream/{script.command.conversation_id}"
    async with frames(client, "GET", url, params={"turn": script.command.turn_id}) as stream:
        assert (await stream.rest())[-1]["type"] == "complete"
    assert await wire.waiting_commands() == 0


async def test_a_stopping_server_sends_its_readers_off_with_a_cursor_within_seconds(
    played: Played,
) -> None:
    stop = asyncio.Event()
    wire, other = played.wire, played.other
    async with api_server(played.settings, stop=stop) as client:
        async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            reading = stream.frames()
            seen = [await anext(reading) for _ in range(4)]
            stop.set()
            async with asyncio.timeout(10):
                gap = await anext(reading)
                assert [frame async for frame in reading] == []
        assert (gap["type"], gap["reason"]) == ("gap", "shutdown")
        assert gap["resume_from"] == seen[-1]["id"]
    for slot in script.start.responses:
        await wire.write(*script.answer(slot.response_id))
    url = f"/api/compare-stream/{script.command.conversation_id}"
    after = {"turn": script.command.turn_id, "after": gap["resume_from"]}
    async with frames(other, "GET", url, params=after) as stream:
        assert [frame["type"] for frame in await stream.rest()] == ["done", "done", "complete"]


async def test_a_quiet_stream_is_kept_alive(played: Played) -> None:
    lively = played.settings.model_copy(update={"sse_keepalive_s": 0.05})
    async with api_server(lively) as client:
        async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
            assert await anext(stream.frames(keepalives=True)) == {"type": "keepalive"}


async def test_the_same_key_gives_the_same_turn_once_even_at_once(played: Played) -> None:
    headers = {"Idempotency-Key": "k" * 255}
    async with AsyncExitStack() as stack:
        clients, wire = (played.one, played.other), played.wire
        opened = await asyncio.gather(
            *(
                stack.enter_async_context(
                    frames(clients[number % 2], "POST", "/api/compare-stream", json=BODY, headers=headers)
                )
                for number in range(8)
            )
        )
        script = await wire.script()
        assert {one.response.headers["x-turn-id"] for one in opened} == {script.command.turn_id}
        await wire.write(*script.opening())
        for slot in script.start.responses:
            await wire.write(*script.answer(slot.response_id, "x"))
        first, *others = await asyncio.gather(*(one.rest() for one in opened))
        assert first[-1]["type"] == "complete"
        assert all(other == first for other in others)
        async with frames(clients[1], "POST", "/api/compare-stream", json=BODY, headers=headers) as late:
            assert await late.rest() == first
        assert await wire.waiting_commands() == 0
        refused = await clients[0].post(
            "/api/compare-stream", json=BODY | {"input_data": "other"}, headers=headers
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


async def test_a_command_that_nobody_confirmed_is_sent_again_and_says_so(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_stored(*_: object) -> None:
        """As if the process had died before."""

    headers = {"Idempotency-Key": "once"}
    monkeypatch.setattr(submissions, "written", nothing_stored)
    client, wire = played.one, played.wire
    async with frames(client, "POST", "/api/compare-stream", json=BODY, headers=headers):
        first, _ = await wire.command()
    async with await psycopg.AsyncConnection.connect(connection_string(played.settings)) as database:
        await database.execute("UPDATE submissions SET first_sent_at = first_sent_at - interval '6 s'")
    async with frames(client, "POST", "/api/compare-stream", json=BODY, headers=headers) as stream:
        again, _ = await wire.command()
        assert stream.response.headers["x-turn-id"] == first.turn_id
    assert again.resend
    assert (again.command_id, again.data) == (first.command_id, first.data)


async def test_a_running_turn_is_stopped_whole_or_in_part_and_an_ended_one_is_left_alone(
    played: Played,
) -> None:
    client, wire = played.one, played.wire
    async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
        script = await wire.script()
        one, two = (slot.response_id for slot in script.start.responses)
        url = f"/api/conversations/{script.command.conversation_id}/cancel"
        assert (await client.post(url)).status_code == 202
        await wire.write(*script.opening())
        await stream.until("start")
        assert (await client.post(url, json={"model": "sim/painter"})).json()["response_ids"] == [two]
        assert (await client.post(url, json={"response_ids": ["no"]})).status_code == 404
        whole, part = [(await wire.command())[0] for _ in range(2)]
        assert isinstance(whole.data, CancelTurn)
        assert isinstance(part.data, CancelTurn)
        assert (whole.turn_id, whole.data.response_ids) == (script.command.turn_id, ())
        assert part.data.response_ids == (two,)
        await wire.write(*(script.said(name, events.ResponseCancelled()) for name in (one, two)))
    async with frames(
        client, "GET", url.replace("cancel", "events"), standard=True, params={"turn": whole.turn_id}
    ) as stream:
        assert (await stream.rest())[-1]["metadata"]["models_cancelled"] == 2
    ended = await client.post(url, json={})
    assert (ended.status_code, ended.json()["stopping"]) == (202, False)
    assert await wire.waiting_commands() == 0


async def ended_turn(client: httpx.AsyncClient, wire: Wire) -> Script:
    """A turn from its prompt to its `complete`."""
    async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
        script = await wire.script()
        await wire.write(*script.opening())
        for slot in script.start.responses:
            await wire.write(*script.answer(slot.response_id, "x"))
        assert (await stream.rest())[-1]["type"] == "complete"
    return script
