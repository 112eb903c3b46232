"""What the API answers to bad input, to foreign pages, and while Kafka or Postgres is away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiokafka.client
import httpx
import msgspec
import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import AnyHttpUrl

from polylogue.api import command_log
from polylogue.api.cursor import Cursor, parse
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings, SettingsError, load_settings
from polylogue.schemas import events
from polylogue.schemas.commands import AudioConfig, StartTurn
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames

BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}
POST = "/api/compare-stream"


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error answer in its one form: a sentence and a slug."""
    body = response.json()
    assert body["detail"].endswith(".")
    assert body["detail"][0].isupper()
    assert body["code"].replace("_", "").isalnum()
    assert ("errors" in body) == (response.status_code == 422)
    assert ("retry-after" in response.headers) == (response.status_code == 503)
    return response.status_code, body["code"]


async def accepted(settings: Settings) -> int:
    async with await psycopg.AsyncConnection.connect(connection_string(settings)) as database:
        row = await (await database.execute("SELECT count(*) FROM submissions")).fetchone()
    assert row is not None
    return int(row[0])


async def test_bad_prompts_are_refused_with_a_sentence_and_start_nothing(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:

        async def post(**changes: Any) -> tuple[int, str]:
            return refusal(await client.post(POST, json=BODY | changes))

        assert await post(models=[]) == (400, "no_models")
        assert await post(models=["sim/text"] * 13) == (400, "too_many_models")
        assert await post(input_data=" \n") == (400, "empty_prompt")
        assert await post(input_data="x" * (512 * 1024 + 1)) == (413, "prompt_too_large")
        assert await post(input_data="a\0b") == (400, "nul_character")
        assert await post(models=["sim/text:\0"]) == (400, "nul_character")
        for url in ("/v1/chat/completions", "/api/ai-sdk/chat"):
            said = {"id": "m", "role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}
            body = {"id": "chat", "model": "sim/text:\0", "messages": [said]}
            answer = (await client.post(url, json=body)).json()
            assert answer.get("error", answer)["code"] == "nul_character"
        assert await post(input_data="\x01" * (500 * 1024)) == (413, "prompt_too_large")
        assert await post(input_data="x" * (32 * 1024 * 1024)) == (413, "request_too_large")
        assert await post(model_parameters={"sim/painter": {}}) == (400, "bad_model_parameters")
        for wrong in (
            {"temperature": 2.1},
            {"top_p": 0},
            {"max_tokens": 0},
            {"max_cost_usd": 0},
            {"image_config": {"aspect_ratio": "wide"}},
            {"audio": {"voice": "alloy", "format": "exe"}},
            {"model_parameters": {"sim/text": {"temperature": -1}}},
        ):
            assert await post(**wrong) == (422, "invalid_request")
        assert await post(temperature="hot") == (422, "invalid_request")
        assert await post(models="sim/text") == (422, "invalid_request")
        assert await post(input_data=None) == (422, "invalid_request")
        assert await post(conversation_id="nobody") == (404, "not_found")
        assert await post(conversation_id="no\0body") == (404, "not_found")
        not_json = await client.post(POST, content=b"{", headers={"Content-Type": "application/json"})
        assert refusal(not_json) == (422, "invalid_request")
        surrogate = b'{"input_data": "\\ud800", "models": ["sim/text"]}'
        sent = await client.post(POST, content=surrogate, headers={"Content-Type": "application/json"})
        assert refusal(sent) == (422, "invalid_request")
        key = await client.post(POST, json=BODY, headers={"Idempotency-Key": "k" * 256})
        assert refusal(key) == (400, "bad_idempotency_key")
        assert await accepted(prepared) == 0
        assert await wire.waiting_commands() == 0


async def test_unknown_fields_are_ignored_and_all_known_ones_reach_the_command(prepared: Settings) -> None:
    body = BODY | {
        "models": ["sim/text", "sim/text"],
        "conversation_history": [{"role": "assistant", "content": "before", "model_id": "sim/text"}],
        "system": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 10,
        "image_config": {"aspect_ratio": "1:1", "image_size": "1K"},
        "audio": {"voice": "nova", "format": "mp3"},
        "model_parameters": {"sim/text": {"max_tokens": 20}},
        "max_cost_usd": 0.25,
        "something_else": {"new": True},
    }
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(client, "POST", POST, json=body) as stream:
            assert stream.response.status_code == 200
            command, _ = await wire.command()
    start = command.data
    assert isinstance(start, StartTurn)
    assert [slot.response_id for slot in start.responses] == [f"{command.turn_id}-1", f"{command.turn_id}-2"]
    assert (start.system, start.max_cost_usd_micros) == ("Be brief.", 250_000)
    assert (start.history[0].content, start.history[0].model) == ("before", "sim/text")
    parameters = start.parameters
    assert (parameters.temperature, parameters.top_p, parameters.max_tokens) == (0.5, 0.9, 10)
    assert parameters.audio == AudioConfig(voice="nova", format="mp3")
    assert start.model_parameters == {"sim/text": msgspec.structs.replace(parameters, max_tokens=20)}
    assert parameters.image_config is not None
    assert (parameters.image_config.aspect_ratio, parameters.image_config.image_size) == ("1:1", "1K")


async def test_a_model_that_the_gateway_does_not_offer_is_refused_by_name(prepared: Settings) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "sim/text"}]})

    gateway = web.Application()
    gateway.router.add_get("/api/v1/models", models)
    async with TestServer(gateway) as server:
        url = AnyHttpUrl(str(server.make_url("/api/v1")))
        async with api_server(prepared.model_copy(update={"openrouter_base_url": url})) as client:
            unknown = await client.post(POST, json=BODY | {"models": ["sim/text", "sim/nobody"]})
            assert refusal(unknown) == (400, "unknown_model")
            assert "sim/nobody" in unknown.json()["detail"]
            async with frames(client, "POST", POST, json=BODY) as stream:
                assert stream.response.status_code == 200


async def test_bad_cursors_and_foreign_ids_are_refused(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(client, "POST", POST, json=BODY) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            last = parse((await stream.until("start"))[-1]["id"])
        mine = f"/api/conversations/{script.command.conversation_id}"

        async def get(after: Cursor | str, **more: str) -> tuple[int, str]:
            return refusal(await client.get(f"{mine}/events", params={"after": str(after)} | more))

        assert await get("nonsense") == (400, "bad_cursor")
        assert await get(last._replace(log_id="ffffffff")) == (409, "other_log")
        assert await get(last._replace(partition=(last.partition + 1) % 3)) == (409, "other_log")
        assert await get(last._replace(offset=10_000)) == (409, "future_cursor")
        assert await get(last, turn="nobody") == (404, "not_found")
        told = (await client.get("/metrics")).text
        for code, count in (("bad_cursor", 1), ("other_log", 2), ("future_cursor", 1)):
            assert f'polylogue_api_streams_begun_total{{outcome="{code}"}} {count}.0' in told
        for path in ("/api/conversations/nobody", "/api/conversations/nobody/events", f"{POST}/nobody"):
            assert refusal(await client.get(path)) == (404, "not_found")
        assert refusal(await client.post("/api/conversations/nobody/cancel")) == (404, "not_found")
        assert refusal(await client.get("/api/conversations?cursor=%00")) == (400, "bad_cursor")
        assert refusal(await client.get("/api/nothing")) == (404, "not_found")
        assert refusal(await client.put(mine)) == (405, "method_not_allowed")
        async with await psycopg.AsyncConnection.connect(connection_string(prepared)) as database:
            await database.execute("UPDATE submissions SET owner_id = 'somebody else'")
        for path in (mine, f"{mine}/events", f"{POST}/{script.command.conversation_id}"):
            assert refusal(await client.get(path)) == (404, "not_found")
        assert refusal(await client.post(f"{mine}/cancel")) == (404, "not_found")


async def test_what_retention_has_removed_is_410_or_a_gap_that_resumes(prepared: Settings) -> None:
    async with api_server(prepared) as writing, api_server(prepared) as client, Wire(prepared) as wire:
        async with frames(writing, "POST", POST, json=BODY) as stream:
            script = await wire.script()
            response = script.start.responses[0].response_id
            await wire.write(*script.opening(), *script.answer(response, "x"))
            seen = await stream.rest()
        await wire.delete_before(script.command.conversation_id, parse(seen[-1]["id"]).offset)
        url = f"/api/conversations/{script.command.conversation_id}/events"
        for after in ({}, {"after": seen[0]["id"]}):
            assert refusal(await client.get(url, params=after)) == (410, "retention")
        asked = {"after": seen[0]["id"], "errors": "frame"}
        async with frames(client, "GET", url, standard=True, params=asked) as stream:
            (gap,) = await stream.rest()
        assert (gap["type"], gap["reason"]) == ("gap", "retention")
        renamed = script._event("renamed", events.ConversationRenamed(title="New"))
        await wire.write(msgspec.structs.replace(renamed, command_offset=99))
        resumed = {"after": gap["resume_from"]}
        async with frames(client, "GET", url, standard=True, params=resumed) as stream:
            assert (await anext(stream.frames()))["title"] == "New"


async def test_pages_of_other_sites_and_other_names_of_this_machine_are_refused(prepared: Settings) -> None:
    async with api_server(prepared) as client:
        own = f"http://{client.base_url.netloc.decode()}"
        cancel = "/api/conversations/nobody/cancel"
        for origin in ("http://evil.example", "null", "https" + own[4:]):
            assert refusal(await client.post(cancel, headers={"Origin": origin})) == (403, "foreign_origin")
        assert (await client.post(cancel, headers={"Origin": own})).status_code == 404
        for host in ("evil.example", "127.0.0.1.evil.example", "[::1", ""):
            assert refusal(await client.get("/api/conversations", headers={"Host": host})) == (
                403,
                "foreign_host",
            )
        port = client.base_url.port
        for host in (f"localhost:{port}", f"[::1]:{port}", "127.0.0.1"):
            assert (await client.get("/api/conversations", headers={"Host": host})).status_code == 200


async def test_without_kafka_nothing_is_accepted_and_readiness_says_why(prepared: Settings) -> None:
    away = prepared.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:9"})
    async with api_server(away, ready=False) as client:
        assert refusal(await client.post(POST, json=BODY)) == (503, "kafka_unavailable")
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        for method in ("GET", "HEAD"):
            asked = [await client.request(method, path) for path in ("/healthz", "/readyz", "/metrics")]
            assert [one.status_code for one in asked] == [200, 503, 200]
            assert not [one for one in asked if "html" in one.headers["content-type"]]
        assert ready.status_code == 503
        assert any(reason.startswith("Kafka:") for reason in ready.json()["missing"])
    assert await accepted(prepared) == 0


async def test_whoever_asks_for_readiness_at_once_shares_one_look(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most = 0, 0
    probe = command_log.CommandLog.probe

    async def counted(log: command_log.CommandLog) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await probe(log)
        under_way -= 1

    async with api_server(prepared) as client:
        monkeypatch.setattr(command_log.CommandLog, "probe", counted)
        answers = await asyncio.gather(*(client.get("/readyz", timeout=60) for _ in range(50)))
        assert {one.status_code for one in answers} == {200}
    assert most == 1


async def test_without_postgres_nothing_is_accepted_and_readiness_says_why(prepared: Settings) -> None:
    away = load_settings(
        _env_file=None, **(prepared.model_dump() | {"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    )
    async with api_server(away, ready=False) as client, Wire(prepared) as wire:
        async with asyncio.timeout(20):
            while "PostgreSQL: no answer" not in (missing := (await client.get("/readyz")).json()["missing"]):
                await asyncio.sleep(0.05)
            while len(missing) > 1:
                missing = (await client.get("/readyz")).json()["missing"]
        response = await client.post(POST, json=BODY, timeout=20)
        assert refusal(response) == (503, "database_unavailable")
        assert await wire.waiting_commands() == 0


async def test_a_kafka_that_dies_is_noticed_before_anything_is_accepted(prepared: Settings) -> None:
    async with broken_wire(prepared) as (settings, wire), api_server(settings) as client:
        wire.cut()
        assert refusal(await client.post(POST, json=BODY, timeout=20)) == (503, "kafka_unavailable")
        assert await accepted(prepared) == 0


async def test_a_command_whose_answer_is_lost_is_told_as_unknown_and_is_safe_to_repeat(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "again"}
    impatient = prepared.model_copy(update={"command_timeout_s": 0.5})
    async with broken_wire(impatient) as (settings, wire), api_server(settings) as client:
        probe = command_log.CommandLog.probe

        async def probe_then_silence(self: command_log.CommandLog) -> None:
            await probe(self)
            wire.silence()

        monkeypatch.setattr(command_log.CommandLog, "probe", probe_then_silence)
        response = await client.post(POST, json=BODY, headers=headers, timeout=20)
        assert refusal(response) == (503, "outcome_unknown")
        told = response.json()
        monkeypatch.setattr(command_log.CommandLog, "probe", probe)
        wire.speak()
        async with frames(client, "POST", POST, json=BODY, headers=headers) as stream:
            assert stream.response.status_code == 200
            assert stream.response.headers["x-turn-id"] == told["turn_id"]
            assert stream.response.headers["x-conversation-id"] == told["conversation_id"]
    assert await accepted(prepared) == 1


async def test_a_port_that_is_taken_stops_the_start_with_one_sentence(prepared: Settings) -> None:
    from polylogue.api.server import serve

    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = prepared.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(SettingsError, match="PORT"):
            await serve(settings, asyncio.Event())


class BrokenWire:
    """A TCP proxy before the broker that can be cut or fall silent."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.heard.set()
        self.open = True
        self.writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self.open = False
        for writer in self.writers:
            writer.transport.abort()

    def silence(self) -> None:
        self.heard.clear()

    def speak(self) -> None:
        self.heard.set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.add(writer)
            try:
                if not self.open:
                    return
                there_reader, there = await asyncio.open_connection(host, port)
                self.writers.add(there)
                await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer, self.heard))
            except OSError:
                pass  # one side has gone, and so goes the other
            finally:
                writer.close()

        return await asyncio.start_server(accept, "127.0.0.1", 0)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: asyncio.Event | None = None
    ) -> None:
        while data := await reader.read(65_536):
            if heard is not None:
                await heard.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def broken_wire(settings: Settings) -> AsyncIterator[tuple[Settings, BrokenWire]]:
    """Settings whose every connection to Kafka goes through a wire that can be broken."""
    wire = BrokenWire()
    host, _, port = str(settings.kafka_bootstrap_servers).rpartition(":")
    server = await wire.serve(host, int(port))
    through = server.sockets[0].getsockname()[1]
    connect = aiokafka.client.create_conn

    async def redirected(_host: str, _port: int, **options: Any) -> Any:
        # Brokers tell their own address, which would lead past the wire.
        return await connect("127.0.0.1", through, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiokafka.client, "create_conn", redirected)
        try:
            yield settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{through}"}), wire
        finally:
            wire.speak()
            server.close()
            for writer in wire.writers:
                writer.transport.abort()
            await server.wait_closed()
