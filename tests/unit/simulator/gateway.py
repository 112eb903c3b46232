"""A client of the simulator whose reader of streams shares no code with it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

URL = "/api/v1/chat/completions"


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[str]:
        """Comments as they are, events without `data: `; fails on anything else."""
        assert self.body.endswith(b"\n\n")
        blocks = self.body.decode().split("\n\n")[:-1]
        assert all(block.startswith((":", "data: ")) and "\n" not in block for block in blocks)
        return [block.removeprefix("data: ") for block in blocks]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines if not line.startswith(":") and line != "[DONE]"]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)

    @property
    def pictures(self) -> list[bytes]:
        urls = [image["image_url"]["url"] for delta in self.deltas for image in delta.get("images", [])]
        assert all(url.startswith("data:image/png;base64,") for url in urls)
        return [base64.b64decode(url.partition(",")[2], validate=True) for url in urls]

    @property
    def audio(self) -> list[dict[str, Any]]:
        return [delta["audio"] for delta in self.deltas if "audio" in delta]

    @property
    def sound(self) -> bytes:
        return b"".join(
            base64.b64decode(piece["data"], validate=True) for piece in self.audio if "data" in piece
        )

    @property
    def finish_reasons(self) -> list[str]:
        choices = [choice for chunk in self.chunks for choice in chunk["choices"]]
        return [choice["finish_reason"] for choice in choices if choice["finish_reason"] is not None]


class Gateway:
    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client = client

    @staticmethod
    def body(model: str, prompt: str = "Draw a red circle", **fields: Any) -> dict[str, Any]:
        return {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}], **fields}

    async def ask(
        self,
        model: str,
        prompt: str = "Draw a red circle",
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> Reply:
        return await self.post(self.body(model, prompt, **fields), headers)

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> Reply:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.client.post(URL, headers=headers, **sent) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str) -> Any:
        async with self.client.get(path) as response:
            assert response.status == 200
            return await response.json()

    async def stats_when(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        async with asyncio.timeout(10):
            while not condition(stats := await self.get("/sim/stats")):
                await asyncio.sleep(0.01)
        return stats


Start = Callable[..., Awaitable[Gateway]]
