"""Rounds, breakouts and branches on real servers: each begun once, at the right time, with the right past."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from polylogue.api import follow_up
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.commands import CancelTurn, StartConversation
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import Attachment, ParentRef
from tests.support.api_server import POST, api_server, code
from tests.support.script import Script, Wire
from tests.support.sse_client import frames
from tests.support.tables import caught_up, projector

MODELS = ["sim/text", "sim/painter"]

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Stage:
    """Two API processes, a projector, and a runner that is played by the test."""

    settings: Settings
    one: httpx.AsyncClient
    other: httpx.AsyncClient
    wire: Wire

    async def play(self, script: Script, text: str = "An answer.") -> None:
        await self.wire.write(*script.opening())
        for slot in script.start.responses:
            await self.wire.write(*script.answer(slot.response_id, text))

    async def turn(self, url: str = POST, **body: Any) -> Script:
        """A turn or round from its request to its `complete`."""
        body = {"input_data": "Draw", "models": MODELS} | body if url == POST else body
        async with frames(self.one, "POST", url, json=body) as stream:
            assert stream.response.status_code == 200, stream.response.text
            script = await self.wire.script()
            await self.play(script)
            assert (await stream.rest())[-1]["type"] == "complete"
        return script

    async def sql(self, statement: str, *values: object) -> None:
        await caught_up(self.settings)  # a turn's stream ends before its rows are written
        async with await psycopg.AsyncConnection.connect(connection_string(self.settings)) as database:
            await database.execute(statement, values)  # type: ignore[arg-type]


@asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(projector(settings))
        one, other = [await stack.enter_async_context(api_server(settings)) for _ in range(2)]
        yield Stage(settings, one, other, await stack.enter_async_context(Wire(settings)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(prepared_once: Settings) -> AsyncIterator[Stage]:
    async with staged(prepared_once) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared: Stage) -> Stage:
    await shared.wire.skip()
    return shared


async def test_the_same_retry_from_both_processes_at_once_is_one_round_and_one_stream(stage: Stage) -> None:
    first = await stage.turn()
    turn_id = first.command.turn_id
    url = f"/api/conversations/{first.command.conversation_id}/turns/{turn_id}"
    again = {"json": {"response_id": f"{turn_id}-2"}, "headers": {"Idempotency-Key": "retry"}}
    async with AsyncExitStack() as stack:
        opened = await asyncio.gather(
            *(
                stack.enter_async_context(frames(client, "POST", f"{url}/retry", **again))
                for client in (stage.one, stage.other) * 3
            )
        )
        round_two = await stage.wire.script()
        start = round_two.start
        assert (round_two.command.turn_id, start.round) == (turn_id, 2)
        assert [(one.response_id, one.model) for one in start.responses] == [(f"{turn_id}-3", "sim/painter")]
        assert (start.prompt, start.history, start.new_conversation) == ("Draw", (), False)
        await stage.play(round_two)
        seen = [await one.rest() for one in opened]
    assert all(one == seen[0] for one in seen)
    assert [frame["type"] for frame in seen[0]] == ["turn", "start", "chunk", "done", "complete"]
    late = await stage.other.post(f"{url}/retry", params={"stream": False}, **again)
    told = {"conversation_id": first.command.conversation_id, "turn_id": turn_id, "round": 2}
    assert (late.status_code, late.json()) == (202, told)
    assert await stage.wire.waiting_commands() == 0
    other_body = again | {"json": {"response_id": f"{turn_id}-1"}}
    assert code(await stage.one.post(f"{url}/retry", **other_body)) == (422, "idempotency_mismatch")
    as_branch = again | {"json": {"input_data": "x", "response_id": f"{turn_id}-2"}}
    assert code(await stage.one.post(f"{url}/branch", **as_branch)) == (422, "idempotency_mismatch")


async def test_of_two_different_rounds_at_once_one_is_begun_and_the_other_refused(stage: Stage) -> None:
    first = await stage.turn()
    url = f"/api/conversations/{first.command.conversation_id}/turns/{first.command.turn_id}/models"
    answers = await asyncio.gather(
        *(
            client.post(url, json={"models": [f"sim/{number}"]}, params={"stream": False})
            for number, client in enumerate((stage.one, stage.other) * 2)
        )
    )
    assert sorted(one.status_code for one in answers) == [202, 409, 409, 409]
    script = await stage.wire.script()
    assert await stage.wire.waiting_commands() == 0
    await stage.play(script)
    third = await stage.turn(url, models=["sim/text", "sim/text"])
    assert (third.start.round, [one.response_id for one in third.start.responses]) == (
        3,
        [f"{first.command.turn_id}-4", f"{first.command.turn_id}-5"],
    )


async def test_an_added_model_is_told_what_came_before_its_turn_and_nothing_of_what_came_after(
    stage: Stage,
) -> None:
    picture = Attachment(key="private/local/t/1.png", content_type="image/png", size_bytes=1, sha256="0" * 64)
    first = await stage.turn(system="Be brief.")
    conversation_id = first.command.conversation_id
    second = await stage.turn(conversation_id=conversation_id, input_data="Again", system="Be long.")
    await stage.sql(
        "UPDATE conversation_messages SET attachments = %s WHERE message_id = %s",
        f'[{{"key": "{picture.key}", "content_type": "image/png", "size_bytes": 1, "sha256": "{"0" * 64}"}}]',
        f"{second.command.turn_id}-user",
    )
    await stage.turn(conversation_id=conversation_id, input_data="And again")
    url = f"/api/conversations/{conversation_id}/turns/{second.command.turn_id}/models"
    added = await stage.turn(url, models=["sim/other"], temperature=0.5)
    start = added.start
    assert [(one.role, one.content, one.model) for one in start.history] == [
        ("user", "Draw", None),
        ("assistant", "An answer.", "sim/text"),
        ("assistant", "An answer.", "sim/painter"),
    ]
    assert (start.prompt, start.system, start.attachments) == ("Again", "Be long.", (picture,))
    assert start.parameters.temperature == 0.5
    stored = (await stage.other.get(f"/api/conversations/{conversation_id}")).json()
    assert [turn["prompt"] for turn in stored["turns"]] == ["Draw", "Again", "And again"]


async def test_a_turns_stream_holds_all_its_rounds_and_waits_for_one_that_is_only_asked_for(
    stage: Stage,
) -> None:
    first = await stage.turn()
    conversation_id, turn_id = first.command.conversation_id, first.command.turn_id
    url = f"/api/conversations/{conversation_id}/turns/{turn_id}/retry"
    asked = await stage.one.post(url, json={"response_id": f"{turn_id}-1"}, params={"stream": False})
    assert asked.status_code == 202
    busy = await stage.other.post(url, json={"response_id": f"{turn_id}-1"})
    assert code(busy) == (409, "turn_running")
    waiting = {"turn": turn_id}
    async with frames(stage.other, "GET", f"{POST}/{conversation_id}", params=waiting) as stream:
        whole: list[dict[str, Any]] = []
        async for frame in stream:
            whole.append(frame)
            if frame["type"] == "complete" and [one["type"] for one in whole].count("complete") == 1:
                await stage.play(await stage.wire.script())
    assert [one["type"] for one in whole].count("complete") == 2
    await stage.turn(conversation_id=conversation_id)
    # When its submissions are forgotten, the tables still know where it began.
    await stage.sql("DELETE FROM submissions")
    async with api_server(stage.settings) as fresh:
        async with frames(fresh, "GET", f"{POST}/{conversation_id}", params=waiting) as stream:
            replayed = await stream.rest()
        assert replayed == whole
        over = await fresh.get(f"{POST}/{conversation_id}", params=waiting | {"after": whole[-1]["id"]})
        assert over.status_code == 204


async def test_a_round_is_stopped_before_and_after_it_has_begun(stage: Stage) -> None:
    first = await stage.turn()
    conversation_id, turn_id = first.command.conversation_id, first.command.turn_id
    cancel = f"/api/conversations/{conversation_id}/cancel"
    async with frames(
        stage.one,
        "POST",
        f"/api/conversations/{conversation_id}/turns/{turn_id}/models",
        json={"models": MODELS},
    ) as stream:
        script = await stage.wire.script()
        assert (await stage.other.post(cancel)).json()["stopping"]
        await stage.wire.write(*script.opening())
        await stream.until("start")
        named = await stage.other.post(cancel, json={"model": "sim/painter"})
        assert named.json()["response_ids"] == [f"{turn_id}-4"]
        whole, part = [(await stage.wire.command())[0] for _ in range(2)]
        assert isinstance(whole.data, CancelTurn)
        assert isinstance(part.data, CancelTurn)
        assert (whole.turn_id, whole.data.response_ids) == (turn_id, ())
        stopped = [
            script.said(slot.response_id, events.ResponseCancelled()) for slot in script.start.responses
        ]
        await stage.wire.write(*stopped)
    async with asyncio.timeout(10):
        while (await stage.other.post(cancel)).json()["stopping"]:
            await asyncio.sleep(0.05)


def started(command: Command, offset: int) -> Event:
    """What a runner writes for a StartConversation."""
    assert isinstance(command.data, StartConversation)
    return Event(
        event_id=f"{command.command_id}.ConversationStarted",
        conversation_id=command.conversation_id,
        owner_id=command.owner_id,
        occurred_at=rfc3339(),
        command_offset=offset,
        causation_id=command.command_id,
        data=events.ConversationStarted(title=command.data.title, parent=command.data.parent),
    )


async def test_a_breakout_is_made_once_and_its_next_turn_has_its_parents_past(stage: Stage) -> None:
    first = await stage.turn()
    parent, turn_id = first.command.conversation_id, first.command.turn_id
    url = f"/api/conversations/{parent}/breakout"
    key = {"Idempotency-Key": "out"}
    told = await asyncio.gather(
        *(
            client.post(url, json={"model": "sim/painter"}, headers=key)
            for client in (stage.one, stage.other) * 2
        )
    )
    assert {one.status_code for one in told} == {201}
    (child,) = {one.json()["conversation_id"] for one in told}
    command, offset = await stage.wire.command()
    assert await stage.wire.waiting_commands() == 0
    assert (command.conversation_id, command.turn_id) == (child, "")
    assert command.data == StartConversation(
        title="", parent=ParentRef(conversation_id=parent, turn_id=turn_id, model="sim/painter")
    )
    for client in (stage.one, stage.other):
        pending = (await client.get(f"/api/conversations/{child}")).json()
        assert (pending["status"], pending["turns"]) == ("idle", [])
    nothing_runs = await stage.one.post(f"/api/conversations/{child}/cancel")
    assert (nothing_runs.status_code, nothing_runs.json()["stopping"]) == (202, False)
    await stage.wire.write(started(command, offset))
    follow = await stage.turn(conversation_id=child, input_data="Smaller", models=["sim/painter"])
    assert [(one.content, one.model) for one in follow.start.history] == [
        ("Draw", None),
        ("An answer.", "sim/painter"),
    ]
    assert not follow.start.new_conversation
    stored = (await stage.other.get(f"/api/conversations/{child}")).json()
    assert stored["parent_model_id"] == "sim/painter"
    # Of somebody else's parent nothing is shown.
    for table in ("conversations", "conversation_turns", "conversation_messages"):
        await stage.sql(f"UPDATE {table} SET owner_id = 'somebody' WHERE conversation_id = %s", parent)
    stored = (await stage.other.get(f"/api/conversations/{child}")).json()
    assert [one["prompt"] for one in stored["turns"]] == ["Smaller"]


async def test_a_branch_shares_the_turns_before_it_and_keeps_models_and_system_prompt(stage: Stage) -> None:
    first = await stage.turn()
    parent = first.command.conversation_id
    second = await stage.turn(conversation_id=parent, input_data="Again", system="Be brief.")
    url = f"/api/conversations/{parent}/turns"
    edited = await stage.turn(f"{url}/{second.command.turn_id}/branch", input_data="Otherwise")
    start = edited.start
    assert edited.command.conversation_id != parent
    assert start.new_conversation
    assert start.parent == ParentRef(conversation_id=parent, turn_id=first.command.turn_id)
    assert (start.prompt, start.system, [one.model for one in start.responses]) == (
        "Otherwise",
        "Be brief.",
        MODELS,
    )
    assert [one.content for one in start.history] == ["Draw", "An answer.", "An answer."]
    anew = await stage.turn(
        f"{url}/{first.command.turn_id}/branch", input_data="Anew", models=["sim/other"], system="Be long."
    )
    assert anew.start.parent == ParentRef(conversation_id=parent)
    assert (anew.start.history, anew.start.system) == ((), "Be long.")
    assert [one.model for one in anew.start.responses] == ["sim/other"]


async def test_what_cannot_be_begun_is_refused_with_a_sentence(stage: Stage) -> None:
    first = await stage.turn()
    turn_id = first.command.turn_id
    conversation = f"/api/conversations/{first.command.conversation_id}"
    turn = f"{conversation}/turns/{turn_id}"
    nobody = "/api/conversations/nobody"
    refused: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
        (f"{turn}/retry", {"response_id": "no"}, (404, "not_found")),
        (f"{turn}/retry", {"response_id": f"{turn_id}-user"}, (404, "not_found")),
        (f"{turn}/retry", {}, (422, "invalid_request")),
        (f"{turn}/models", {"models": []}, (400, "no_models")),
        (f"{turn}/models", {"models": ["sim/text"] * 13}, (400, "too_many_models")),
        (f"{turn}/models", {"models": ["a"], "temperature": 3}, (422, "invalid_request")),
        (f"{turn}/branch", {"input_data": " "}, (400, "empty_prompt")),
        (f"{turn}/branch", {"input_data": "x", "models": []}, (400, "no_models")),
        (f"{conversation}/turns/no/retry", {"response_id": "x"}, (404, "not_found")),
        (f"{conversation}/breakout", {"model": "sim/other"}, (400, "not_in_conversation")),
        (f"{conversation}/breakout", {"model": "sim/text", "turn_id": "no"}, (404, "not_found")),
        (f"{nobody}/breakout", {"model": "sim/text"}, (404, "not_found")),
        (f"{nobody}/turns/{turn_id}/branch", {"input_data": "x"}, (404, "not_found")),
    ]
    for url, body, expected in refused:
        assert code(await stage.one.post(url, json=body)) == expected, url
    assert await stage.wire.waiting_commands() == 0


async def test_without_the_tables_the_next_turn_waits_and_is_then_refused_for_now(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PROJECTED_S", 3.0)
    async with staged(prepared) as stage:
        first = await stage.turn()
        await caught_up(prepared)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(api_server(prepared))
        wire = await stack.enter_async_context(Wire(prepared))
        await wire.script()
        conversation_id = first.command.conversation_id
        body = {"input_data": "Again", "models": MODELS, "conversation_id": conversation_id}
        async with frames(client, "POST", POST, json=body) as stream:
            assert stream.response.status_code == 200
            second = await wire.script()
            await wire.write(*second.opening())
            for slot in second.start.responses:
                await wire.write(*second.answer(slot.response_id, "x"))
            assert (await stream.rest())[-1]["type"] == "complete"
        behind = await client.post(POST, json=body)
        assert code(behind) == (503, "history_not_ready")
        assert "retry-after" in behind.headers
        assert await wire.waiting_commands() == 0
        await stack.enter_async_context(projector(prepared))
        monkeypatch.setattr(follow_up, "PROJECTED_S", 20.0)
        async with frames(client, "POST", POST, json=body) as stream:
            assert stream.response.status_code == 200


async def test_a_key_is_free_again_after_a_day(stage: Stage) -> None:
    key = {"Idempotency-Key": "day"}
    body = {"input_data": "Draw", "models": MODELS}
    turns = []
    for age in ("23 hours", "2 hours", None):
        async with frames(stage.one, "POST", POST, json=body, headers=key) as stream:
            turns.append(stream.response.headers["x-turn-id"])
        if age:
            await stage.sql(f"UPDATE submissions SET first_sent_at = first_sent_at - interval '{age}'")
    assert turns[0] == turns[1] != turns[2]
