"""Both of our clients through cut connections: every frame of a turn once and in order, without anybody's help."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polylogue.client import PolylogueClient
from polylogue.infra.settings import Settings
from tests.support.processes import Simulator
from tests.support.sse_client import frames, validated
from tests.support.tcp_proxy import TcpProxy
from tests.support.whole_system import WAIT_S, System, running

ROOT = Path(__file__).parents[2]
MODELS = ("sim/slow:tokens=120:pace=50ms", "sim/text:pace=0s")
CUT_AFTER = (1, 12, 30)  # frames at the earliest, each once the cut before is mended

pytestmark = [pytest.mark.stack]


async def test_both_clients_see_every_frame_once_and_in_order_however_often_they_are_cut_off(
    prepared: Settings, gateway: Simulator
) -> None:
    async with running(prepared, gateway, agent=False) as system:
        async with TcpProxy("127.0.0.1", system.one.base_url.port or 0) as proxy:
            seen, drops = await _python(proxy)
        await _whole(system, seen, drops)
        async with TcpProxy("127.0.0.1", system.one.base_url.port or 0) as proxy:
            seen, drops = await _typescript(proxy)
        await _whole(system, seen, drops)


async def _whole(system: System, seen: list[dict[str, Any]], drops: int) -> None:
    """As a reader sees it who asks afterwards and is never cut off."""
    assert drops >= len(CUT_AFTER)
    address = f"/api/conversations/{seen[0]['conversation_id']}/events"
    async with frames(system.other, "GET", f"{address}", standard=True) as stream:
        expected = await stream.until("complete")
    turn = [frame for frame in expected if frame.get("turn_id")]
    assert [frame["id"] for frame in seen if frame.get("turn_id")] == [frame["id"] for frame in turn]
    assert len({frame["id"] for frame in seen}) == len(seen)
    for model in MODELS:
        told = [
            "".join(one["content"] for one in part if one["type"] == "chunk" and one["model"] == model)
            for part in (seen, turn)
        ]
        assert told[0] == told[1] != ""


async def _python(proxy: TcpProxy) -> tuple[list[dict[str, Any]], int]:
    dropped: list[str] = []
    noticed = asyncio.Event()

    def on_drop(reason: str) -> None:
        dropped.append(reason)
        noticed.set()

    seen: list[dict[str, Any]] = []
    cuts = 0
    restoring: list[asyncio.Task[None]] = []
    async with PolylogueClient(f"http://127.0.0.1:{proxy.port}", on_drop=on_drop) as client:
        async with asyncio.timeout(WAIT_S):
            async for received in client.submit("Tell me a story", MODELS):
                frame = validated(received.raw)
                if frame["type"] == "keepalive":
                    continue
                seen.append(frame)
                if _due(seen, cuts) and all(one.done() for one in restoring):
                    cuts += 1
                    noticed.clear()
                    await proxy.cut()
                    restoring.append(asyncio.create_task(_restore(proxy, noticed)))
    await asyncio.gather(*restoring)
    return seen, len(dropped)


async def _typescript(proxy: TcpProxy) -> tuple[list[dict[str, Any]], int]:
    seen: list[dict[str, Any]] = []
    cuts = drops = 0
    async with _node(f"http://127.0.0.1:{proxy.port}") as lines, asyncio.timeout(WAIT_S):
        async for told in lines:
            # Told again where it comes back too early: what is mended stays so.
            if told.get("link") == "waiting" and drops < cuts:
                drops += 1
                await proxy.restore()
            if "frame" not in told:
                continue
            seen.append(validated(msgspec.json.encode(told["frame"])))
            if _due(seen, cuts) and cuts == drops:
                cuts += 1
                await proxy.cut()
    return seen, drops


def _due(seen: list[dict[str, Any]], cuts: int) -> bool:
    return cuts < len(CUT_AFTER) and len(seen) >= CUT_AFTER[cuts]


async def _restore(proxy: TcpProxy, noticed: asyncio.Event) -> None:
    await noticed.wait()
    await proxy.restore()


@asynccontextmanager
async def _node(url: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    script, web = ROOT / "tests/packages/web_client.mjs", ROOT / "web"
    process = await asyncio.create_subprocess_exec(
        "node", str(script), str(web), url, ",".join(MODELS), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None

    async def lines(output: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
        async for line in output:
            yield json.loads(line)

    try:
        yield lines(process.stdout)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
