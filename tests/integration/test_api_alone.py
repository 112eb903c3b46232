"""One API server beside a log of its own: what it makes of stored turns, of a log's end and of garbage in it."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
import psycopg
import pytest

from polylogue.api.cursor import parse
from polylogue.infra.kafka import partition_for
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.script import Script, Wire
from tests.support.sse_client import frames

pytestmark = pytest.mark.stack

BODY = {"input_data": "Draw a red circle", "models": ["sim/text", "sim/painter"]}


async def test_a_conversation_goes_on_with_its_history_once_its_turn_has_ended(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            log_id = parse((await stream.until("turn"))[-1]["id"]).log_id
        conversation_id = script.command.conversation_id
        following = BODY | {"conversation_id": conversation_id, "input_data": "And now?"}
        submitted = await client.get(f"/api/conversations/{conversation_id}")
        assert submitted.json()["status"] == "running"
        busy = await client.post("/api/compare-stream", json=following)
        assert (busy.status_code, busy.json()["code"]) == (409, "turn_running")
        for slot in script.start.responses:
            await wire.write(*script.answer(slot.response_id, "An answer."))
        await project(prepared, script, log_id)
        async with frames(client, "POST", "/api/compare-stream", json=following) as stream:
            second = await wire.script()
            assert not second.start.new_conversation
            assert [(one.role, one.content, one.model) for one in second.start.history] == [
                ("user", script.start.prompt, None),
                ("assistant", "An answer.", "sim/text"),
                ("assistant", "An answer.", "sim/painter"),
            ]
            await wire.write(*second.opening())
            for slot in second.start.responses:
                await wire.write(*second.answer(slot.response_id))
            seen = await stream.rest()
            assert {frame["turn_id"] for frame in seen} == {second.command.turn_id}
        listed = (await client.get("/api/v1/conversations")).json()["conversations"]
        assert [one["conversation_id"] for one in listed] == [conversation_id]
        stored = (await client.get(f"/api/v1/conversations/{conversation_id}")).json()
        user, text, painter = stored["turns"][0]["messages"]
        assert (user["role"], user["media_urls"], text["model_id"]) == ("user", None, "sim/text")
        (medium,) = painter["media_urls"]
        assert "X-Amz-Signature" in medium["url"]
        assert medium["key"] in unquote(medium["url"])


@pytest.mark.parametrize("commit", [True, False])
async def test_a_log_that_ends_with_a_transaction_marker_is_caught_up_whatever_the_marker_says(
    prepared: Settings, commit: bool
) -> None:
    async with Wire(prepared) as wire:
        async with api_server(prepared) as client:
            async with frames(client, "POST", "/api/compare-stream", json=BODY) as live:
                script = await wire.script()
                written = list(script.opening())
                for slot in script.start.responses:
                    written += script.answer(slot.response_id, "x")
                await wire.write_in_transaction(written, commit=commit)
                seen = await live.rest()
        assert seen[-1]["type"] == "complete"
        async with api_server(prepared) as client:  # its tail begins behind the marker
            url = f"/api/compare-stream/{script.command.conversation_id}"
            async with frames(client, "GET", url, params={"turn": script.command.turn_id}) as stream:
                assert await stream.rest() == seen


async def test_garbage_is_skipped_and_counted(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(client, "POST", "/api/compare-stream", json=BODY) as stream:
            script = await wire.script()
            await wire.write_raw(script.command.conversation_id, b"{not json")
            await wire.write(*script.opening())
            assert len(await stream.until("start")) == 3
        counted = (await client.get("/metrics")).text
        assert 'polylogue_api_records_skipped_total{reason="garbage"} 1.0' in counted
        assert "polylogue_api_frames_sent_total" in counted


async def project(settings: Settings, script: Script, log_id: str) -> None:
    """The rows that the projections make of a finished turn."""
    turn, conversation = script.command.turn_id, script.command.conversation_id
    medium = {
        "url": "https://old.example/x",
        "key": "media/image/a/b%2Fc/x.png",
        "type": "image",
        "status": "stored",
        "content_type": "image/png",
        "format": "png",
        "size_bytes": 1,
        "sha256": "0" * 64,
    }
    async with await psycopg.AsyncConnection.connect(connection_string(settings)) as database:
        await database.execute(
            """INSERT INTO conversations (conversation_id, owner_id, title, pinned, "partition", first_offset,
                   last_turn_id, turn_running, deleted, created_at, updated_at)
               VALUES (%s, 'local', 't', false, 0, 1, %s, false, false, now(), now())""",
            (conversation, turn),
        )
        for projection in ("conversations", "conversation_messages"):
            await database.execute(
                """INSERT INTO projection_checkpoints (projection, version, "partition", log_id, next_offset)
                   VALUES (%s, 1, %s, %s, 1000)""",
                (projection, partition_for(conversation, 3), log_id),
            )
        await database.execute(
            """INSERT INTO conversation_turns (turn_id, conversation_id, owner_id, prompt, round, start_offset,
                   finished, created_at) VALUES (%s, %s, 'local', %s, 1, 1, true, now())""",
            (turn, conversation, script.start.prompt),
        )
        rows = [(f"{turn}-user", "user", None, script.start.prompt, None, 0)]
        for number, slot in enumerate(script.start.responses, start=1):
            media = msgspec.json.encode([medium]).decode() if slot.model == "sim/painter" else None
            rows.append((slot.response_id, "assistant", slot.model, "An answer.", media, number))
        for message_id, role, model, content, media, position in rows:
            await database.execute(
                """INSERT INTO conversation_messages (message_id, conversation_id, turn_id, owner_id, role, model_id,
                       content, media_urls, status, position, attempt, created_at)
                   VALUES (%s, %s, %s, 'local', %s, %s, %s, %s, 'completed', %s, 1, now())""",
                (message_id, conversation, turn, role, model, content, media, position),
            )
