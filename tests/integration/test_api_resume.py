"""Joining late and coming back, on real servers: snapshots, one stream for all, restarts, slow readers, bad cursors."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import httpx
import msgspec
import pytest

from polylogue.api import audience
from polylogue.api.catch_up import LogReaders
from polylogue.api.cursor import parse
from polylogue.infra.settings import Settings
from polylogue.schemas import events
from tests.support.api_server import api_server
from tests.support.processes import free_port, process
from tests.support.script import Script, Wire
from tests.support.sse_client import frames, validated

BODY = {"input_data": "Draw a red circle", "models": ["sim/text", "sim/painter"]}
WAIT_S = 60.0


async def begun(client: httpx.AsyncClient, wire: Wire, **more: Any) -> Script:
    """A turn that has been asked for, and of which its reader has left."""
    async with frames(client, "POST", "/api/compare-stream", json=BODY | more):
        script = await wire.script()
    await wire.write(*script.opening())
    return script


def url_of(script: Script) -> str:
    return f"/api/v1/conversations/{script.command.conversation_id}/events"


def text_of(seen: list[dict[str, Any]], response_id: str) -> str:
    text = ""
    for frame in seen:
        if frame.get("response_id") == response_id and frame["type"] in ("snapshot", "chunk"):
            text = frame["content"] if frame["type"] == "snapshot" else text + frame["content"]
    return text


async def test_a_late_reader_gets_one_snapshot_of_a_response_and_then_the_tail(prepared: Settings) -> None:
    with process("projector", prepared):
        async with api_server(prepared) as client, Wire(prepared) as wire:
            script = await begun(client, wire)
            one, two = (slot.response_id for slot in script.start.responses)
            await wire.write(*(script.said(one, events.TextAppended(text=f"{n} ")) for n in range(200)))
            options: dict[str, Any] = {"params": {"snapshot": "true", "turn": script.command.turn_id}}
            async with frames(client, "GET", url_of(script), standard=True, **options) as stream:
                seen = [await anext(aiter_ := stream.frames()), await anext(aiter_)]
                assert [frame["type"] for frame in seen] == ["snapshot", "snapshot"]
                await wire.write(script.said(one, events.TextAppended(text="tail")))
                await wire.write(script.produced(two, "m1"), *script.answer(one), *script.answer(two, "x"))
                await wire.write(script.stored(two, "m1"))
                seen += [frame async for frame in aiter_]
            assert seen[-1]["type"] == "complete"
            assert text_of(seen, one) == "".join(f"{n} " for n in range(200)) + "tail"
            # The turn has ended: the same now comes from the tables, with its medium.
            async with frames(client, "GET", url_of(script), standard=True, **options) as stream:
                told = await stream.rest()
            assert [(frame["type"], frame["status"]) for frame in told] == [("snapshot", "completed")] * 2
            assert text_of(told, one) == text_of(seen, one)
            (medium,) = told[1]["media"]
            assert (medium["status"], medium["width"]) == ("stored", 2)
            assert "X-Amz-Signature" in medium["url"]
            options["headers"] = {"Last-Event-ID": told[-1]["id"]}
            async with frames(client, "GET", url_of(script), standard=True, **options) as stream:
                assert stream.response.status_code == 204


async def test_all_conversations_come_on_one_stream_that_resumes_on_another_process(
    prepared: Settings,
) -> None:
    async with (
        api_server(prepared) as client,
        api_server(prepared) as other,
        Wire(prepared) as wire,
        client.stream("GET", "/api/v1/streams/me", timeout=WAIT_S) as response,
    ):
        blocks = Blocks(response)
        scripts = [await begun(client, wire) for _ in range(2)]
        seen = [await blocks.next() for _ in range(4)]
        assert [frame["type"] for _, frame in seen] == ["conversation", "turn"] * 2
        assert [frame["conversation_id"] for _, frame in seen[::2]] == [
            script.command.conversation_id for script in scripts
        ]
        for script in scripts:
            for slot in script.start.responses:
                await wire.write(*script.answer(slot.response_id, "not for a list"))
        rest = [await blocks.next() for _ in range(6)]
        assert sorted(frame["type"] for _, frame in rest) == ["complete"] * 2 + ["done"] * 4
        whole = seen + rest
        for at in (0, 2, 5, 8):
            after = {"Last-Event-ID": whole[at][0]}
            async with other.stream("GET", "/api/streams/me", headers=after, timeout=WAIT_S) as again:
                blocks = Blocks(again)
                found = [await blocks.next() for _ in whole[at + 1 :]]
                key = parse(whole[at][1]["id"]).partition
                assert sorted(map(place, found)) == sorted(map(place, whole[at + 1 :])), (at, key)


def place(block: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    return block[1]["type"], block[1]["id"].rsplit("-", 1)[0]


class Blocks:
    """(id, frame) of a standard stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._pieces, self._rest = response.aiter_raw(), b""

    async def next(self) -> tuple[str, dict[str, Any]]:
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if not found:
                self._rest += await anext(self._pieces)
                continue
            self._rest = rest
            lines = block.split(b"\n")
            if lines[-1].startswith(b"data: "):
                return lines[0][4:].decode(), validated(lines[-1][6:])


async def test_a_cursor_of_all_conversations_that_is_none_is_refused(prepared: Settings) -> None:
    async with api_server(prepared) as client:
        for cursor, status, code in (
            ("nonsense", 400, "bad_cursor"),
            ("AQAAAAA", 409, "other_log"),
        ):
            answer = await client.get("/api/v1/streams/me", params={"after": cursor})
            assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_reader_that_stops_reading_is_cut_off_and_holds_up_nobody(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "MOST_BEHIND_BYTES", 64 * 1024)
    async with api_server(prepared) as client, Wire(prepared) as wire:
        script = await begun(client, wire)
        (one, _) = (slot.response_id for slot in script.start.responses)
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", client.base_url.port))
            reader.sendall(f"GET {url_of(script)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            async with frames(client, "GET", url_of(script), standard=True) as stream:
                reading = stream.frames()
                piece, written, last = "x" * 400_000, 0, ""
                async with asyncio.timeout(WAIT_S):
                    while 'reason="slow"} 1.0' not in (await client.get("/metrics")).text:
                        await wire.write(script.said(one, events.TextAppended(text=f"{written} {piece}")))
                        async for frame in reading:
                            if frame["type"] == "chunk" and frame["content"].startswith(f"{written} "):
                                last = frame["id"]
                                break
                        written += 1
            data = await asyncio.to_thread(read_all, reader)
        body = data.partition(b"\r\n\r\n")[2]
        gap = validated(body[body.rindex(b"data: ") + 6 :].split(b"\n")[0])
        assert (gap["type"], gap["reason"]) == ("gap", "slow")
        assert gap["resume_from"] < last
        assert data.endswith(b"0\r\n\r\n")
        after = {"Last-Event-ID": gap["resume_from"]}
        async with frames(client, "GET", url_of(script), standard=True, headers=after) as stream:
            async for frame in stream.frames():
                if frame["id"] == last:
                    break


def read_all(reader: socket.socket) -> bytes:
    reader.settimeout(WAIT_S)
    data = b""
    while piece := reader.recv(65536):
        data += piece
    return data


async def test_a_restarted_server_goes_on_exactly_where_the_reader_was(prepared: Settings) -> None:
    port = free_port()
    settings = prepared.model_copy(update={"port": port})
    async with Wire(prepared) as wire, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        with process("api", settings) as first:
            await ready(client)
            script = await begun(client, wire)
            one, two = (slot.response_id for slot in script.start.responses)
            async with frames(client, "GET", url_of(script), standard=True) as stream:
                reading = stream.frames()
                seen = [await anext(reading) for _ in range(4)]
                first.signal(signal.SIGTERM)
                *late, gap = [frame async for frame in reading]
                assert late == []
            assert (gap["reason"], first.child.wait(WAIT_S)) == ("shutdown", 0)
        await wire.write(*script.answer(one, "while nobody was there"))
        with process("api", settings):
            await ready(client)
            after = {"params": {"after": gap["resume_from"], "turn": script.command.turn_id}}
            async with frames(client, "GET", url_of(script), standard=True, **after) as stream:
                await wire.write(*script.answer(two))
                rest = await stream.rest()
    assert [frame["type"] for frame in rest] == ["chunk", "done", "done", "complete"]
    assert len({frame["id"] for frame in seen + rest}) == len(seen + rest)


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def test_a_made_up_cursor_shows_nothing_that_is_not_there_anyway(prepared: Settings) -> None:
    async with api_server(prepared) as client, Wire(prepared) as wire:
        mine, other = await begun(client, wire), await begun(client, wire)
        async with frames(client, "GET", url_of(mine), standard=True) as stream:
            whole = await stream.until("start")
        cursor = parse(whole[-1]["id"])
        for offset in range(cursor.offset + 1):
            made_up = str(cursor._replace(offset=offset, frame=0, start=min(cursor.start, offset + 1)))
            async with frames(
                client, "GET", url_of(mine), standard=True, headers={"Last-Event-ID": made_up}
            ) as stream:
                assert stream.response.status_code == 200
                await wire.write(
                    mine.said(mine.start.responses[0].response_id, events.TextAppended(text="end"))
                )
                seen = await stream.until("chunk")
            assert {frame["conversation_id"] for frame in seen} == {mine.command.conversation_id}
        assert other.command.conversation_id not in msgspec.json.encode(seen).decode()


async def test_a_made_up_cursor_has_nobody_read_what_lies_before_the_conversation(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    reads = LogReaders.read

    def noted(readers: LogReaders, partition: int, key: bytes | None, start: int, stop: int) -> Any:
        read.append(start)
        return reads(readers, partition, key, start, stop)

    monkeypatch.setattr(LogReaders, "read", noted)
    async with api_server(prepared) as client, api_server(prepared) as other, Wire(prepared) as wire:
        cursor, script = None, None
        while cursor is None or cursor.start < 6:  # until one comes behind another in its partition
            script = await begun(client, wire)
            async with frames(client, "GET", url_of(script), standard=True) as stream:
                cursor = parse((await stream.until("start"))[-1]["id"])
        assert script is not None
        read.clear()
        made_up = cursor._replace(offset=0, frame=0, start=0)
        for server in (client, other):
            for start in (0, 1):
                after = {"after": str(made_up._replace(start=start))}
                async with frames(server, "GET", url_of(script), standard=True, params=after) as stream:
                    assert (await stream.until("start"))[-1]["id"] == str(cursor)
    assert min(read) >= cursor.start - 1
