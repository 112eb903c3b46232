"""Where the client takes its API key, and where it never does; and what it makes of limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from polylogue.client import ApiError, PolylogueClient
from polylogue.schemas.frames import encode_frame
from tests.support.file_server import file_server
from tests.unit.cli.frames import Script

KEY = "plg_aaaaaaaaaaaa_" + "A" * 43
COMPLETE = b"data: " + encode_frame(Script().complete()) + b"\n\n"


class Server:
    """Answers everything, and remembers who said what they were."""

    def __init__(self, *refusals: web.Response) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.elsewhere = ""
        self._refusals = list(refusals)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers.get("Authorization")))
        if request.path.endswith("/content"):
            raise web.HTTPFound(f"{self.elsewhere}/object")
        if "compare-stream" in request.path:
            if self._refusals:
                return self._refusals.pop(0)
            return web.Response(body=COMPLETE, content_type="text/event-stream")
        return web.json_response({"conversation_id": "c"})


def limited(code: str) -> web.Response:
    return web.json_response({"detail": "Too many.", "code": code}, status=429, headers={"Retry-After": "0"})


async def test_the_key_goes_to_the_api_and_never_to_where_media_are(tmp_path: Path) -> None:
    api, storage = Server(), Server()
    async with file_server(api.answer) as near, file_server(storage.answer) as far:
        url, elsewhere = near.origin, far.origin
        api.elsewhere = elsewhere
        async with PolylogueClient(url, key=KEY) as client:
            assert [one async for one in client.submit("Hello", ["a"])]
            assert [one async for one in client.follow("c", turn_id="t")]
            await client.conversation("c")
            await client.cancel("c")
            await client.download(f"{elsewhere}/signed", tmp_path / "signed")
            await client.download(f"{url}/api/v1/media/m/content", tmp_path / "redirected")
    assert {said for _, said in api.seen} == {f"Bearer {KEY}"}
    assert [path for path, _ in storage.seen][:2] == ["/signed", "/object"]
    assert KEY not in str(storage.seen)


async def test_without_a_key_none_is_sent() -> None:
    api = Server()
    async with file_server(api.answer) as near, PolylogueClient(near.origin) as client:
        await client.conversation("c")
    assert api.seen == [("/api/v1/conversations/c", None)]


async def test_a_limit_is_waited_for_and_a_quota_is_not() -> None:
    api = Server(limited("too_many_requests"))
    async with file_server(api.answer) as near, PolylogueClient(near.origin) as client:
        assert [one async for one in client.follow("c", turn_id="t")]
    assert len(api.seen) == 2
    api = Server(limited("quota_exceeded"))
    async with file_server(api.answer) as near, PolylogueClient(near.origin) as client:
        with pytest.raises(ApiError) as refused:
            [one async for one in client.follow("c", turn_id="t")]
    assert (refused.value.code, len(api.seen)) == ("quota_exceeded", 1)
