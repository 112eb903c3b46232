"""A small SSE reader on httpx that validates every frame by its JSON Schema before anybody sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jsonschema
import msgspec

from polylogue.schemas.frames import FRAME_TYPES

READ_S = 30.0


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = msgspec.json.schema(FRAME_TYPES[kind])
    return jsonschema.Draft202012Validator(schema)


def validated(raw: bytes | str) -> dict[str, Any]:
    """The frame of a `data:` line. Raises where it is not in the closed table, or not as its schema says."""
    frame: dict[str, Any] = msgspec.json.decode(raw)
    assert frame["type"] in FRAME_TYPES, f"{frame['type']} is not in the table of frames"
    _validator(frame["type"]).validate(frame)
    # A field that the schema does not name would be accepted by readers and told to nobody.
    known = {field.encode_name for field in msgspec.structs.fields(FRAME_TYPES[frame["type"]])} | {"type"}
    assert set(frame) <= known, f"{set(frame) - known} in a frame of type {frame['type']}"
    return frame


@dataclass
class FrameStream:
    """An open stream: `response` for its headers, iteration for its frames without keepalives."""

    response: httpx.Response
    standard: bool

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self.frames()

    async def frames(self, *, keepalives: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Checks the framing byte for byte: one `data:` line and a blank line, or with `id:` and `event:` before."""
        buffered = b""
        async for piece in self.response.aiter_raw():
            buffered += piece
            *blocks, buffered = buffered.split(b"\n\n")
            for block in blocks:
                frame = self._frame(block)
                if frame is not None and (keepalives or frame["type"] != "keepalive"):
                    yield frame
        assert not buffered, "the stream ended within a frame"

    def _frame(self, block: bytes) -> dict[str, Any] | None:
        lines = block.split(b"\n")
        if lines[0].startswith((b":", b"retry:")):
            return None
        assert lines[-1].startswith(b"data: "), block[:80]
        frame = validated(lines[-1][6:])
        if not self.standard:
            assert len(lines) == 1, "data-only clients drop frames with other lines"
            return frame
        head = [b"id: " + frame["id"].encode()] if "id" in frame else []
        assert lines[:-1] == [*head, b"event: " + frame["type"].encode()]
        return frame

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """The frames up to the first of that type, which is the last returned. Nothing can be read afterwards."""
        return await until(self.frames(), kind)

    async def rest(self) -> list[dict[str, Any]]:
        """All frames to the end of the stream."""
        return [frame async for frame in self.frames()]


async def until(reading: AsyncIterator[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of that type; the same reading goes on afterwards."""
    seen = []
    async for frame in reading:
        seen.append(frame)
        if frame["type"] == kind:
            return seen
    raise AssertionError(f"the stream ended without {kind}: {[frame['type'] for frame in seen]}")


@asynccontextmanager
async def frames(
    client: httpx.AsyncClient, method: str, url: str, *, standard: bool = False, **options: Any
) -> AsyncIterator[FrameStream]:
    """`async with frames(client, "POST", "/api/compare-stream", json=…) as stream: async for frame in stream: …`"""
    timeout = httpx.Timeout(READ_S, connect=5)
    async with client.stream(method, url, timeout=timeout, **options) as response:
        if response.status_code == 200:
            assert response.headers["content-type"].startswith("text/event-stream")
        else:
            await response.aread()
        yield FrameStream(response, standard)
