"""Streams on real Kafka and Postgres: a prompt becomes a command, events become frames, cursors resume exactly."""

from __future__ import annotations

from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.commands import StartTurn
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames

BODY = {"input_data": "Draw a red circle", "models": ["sim/text", "sim/painter"]}


async def test_a_prompt_becomes_a_command_and_events_become_frames_in_order(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
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
            await wire.write(script.stored(two, "m1"))
            seen = await stream.rest()
        assert [frame["type"] for frame in seen] == (
            ["conversation", "turn", "start", "start", "chunk", "chunk", "done", "media_pending", "done", "media", "complete"]
        )
        assert [frame["model"] for frame in seen[2:4]] == BODY["models"]
        assert seen[-1]["metadata"]["models_successful"] == 2
        ids = [frame["id"] for frame in seen]
        assert ids == sorted(set(ids))
