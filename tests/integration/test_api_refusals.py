"""Requests that are not let in are counted, and a file that is under way ends with the key that opened it."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from polylogue.api import zip_download
from polylogue.api.auth import accounts
from polylogue.infra.settings import Settings
from tests.support.accounts import bearer, id_of, key_of, keyed, with_accounts
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames

POST = "/api/compare-stream"
LIST = "/api/conversations"
BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}
DEAD_WITHIN_S = 5.0
WAIT_S = 60.0

pytestmark = [pytest.mark.stack]


async def test_what_is_not_let_in_or_is_too_much_is_counted(prepared: Settings) -> None:
    settings = keyed(prepared, limit_requests_per_minute=3)
    reader, scraper = await key_of(settings, "ada", "read"), await key_of(settings, "root", "metrics")
    async with api_server(settings) as client:
        client.timeout = WAIT_S
        answers = [
            await client.get(LIST),
            await client.post(POST, json=BODY, headers=bearer(reader)),
            await client.get("/api/admin/projections", headers=bearer(reader)),
            await client.post("/api/session", json={"key": "nonsense"}),
            *[await client.get(LIST, headers=bearer(reader)) for _ in range(5)],
        ]
        told = (await client.get("/metrics", headers=bearer(scraper))).text
    counted = {
        (answer.json()["code"], answer.status_code): 0 for answer in answers if answer.status_code != 200
    }
    for answer in answers:
        if answer.status_code != 200:
            counted[answer.json()["code"], answer.status_code] += 1
    assert {status for _, status in counted} == {401, 403, 429}
    for (code, status), count in counted.items():
        assert f'polylogue_api_refusals_total{{code="{code}",status="{status}"}} {count}.0' in told


async def test_the_end_of_a_key_ends_the_file_that_it_opened(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object) -> Generator[bytes]:
        while True:
            yield b"x" * 65536

    async def family(*_: object) -> tuple[dict[str, Any], list[Any]]:
        return {"title": "long"}, []

    monkeypatch.setattr(zip_download, "family", family)
    monkeypatch.setattr(zip_download, "archive", endless)
    settings = keyed(prepared)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client, Wire(settings) as wire:
        async with frames(client, "POST", POST, json=BODY, headers=bearer(key)):
            script = await wire.script()
        url = f"{LIST}/{script.command.conversation_id}/media.zip"
        async with client.stream("GET", url, headers=bearer(key), timeout=WAIT_S) as response:
            pieces = response.aiter_raw()
            assert await anext(pieces)
            await with_accounts(settings, lambda connection: accounts.revoke_key(connection, id_of(key)))
            begun = time.monotonic()
            # It is not ended as if it were whole.
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                async for _ in pieces:
                    pass
            assert time.monotonic() - begun < DEAD_WITHIN_S
