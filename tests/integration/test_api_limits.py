"""Limits on live processes: requests, streams and bytes counted over all of them, and clients that trickle."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from polylogue.api.auth import sign_ins, tokens
from polylogue.api.auth.access import Access
from polylogue.api.principal import Principal
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.accounts import bearer, key_of, keyed
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames
from tests.support.tcp_proxy import TcpProxy

BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}
POST = "/api/compare-stream"
LIST = "/api/conversations"
SESSION = "/api/session"

pytestmark = [pytest.mark.stack]


def left(response: httpx.Response) -> int:
    found = re.fullmatch(r'"default";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    assert found is not None, response.headers["RateLimit"]
    assert 1 <= int(found[2]) <= 60
    return int(found[1])


def refused(response: httpx.Response) -> bool:
    if response.status_code != 429:
        return False
    assert response.json()["code"] == "too_many_requests"
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    return True


async def early_in_a_minute(settings: Settings, least_s: float = 10) -> None:
    """So that no window ends within the test: waits for the next one where this one is nearly over."""
    with psycopg.connect(connection_string(settings)) as connection:
        row = connection.execute("SELECT 60 - extract(epoch FROM clock_timestamp()) % 60").fetchone()
    assert row is not None
    if float(row[0]) < least_s:
        await asyncio.sleep(float(row[0]) + 0.1)


async def test_a_burst_is_counted_over_all_processes_and_refused_with_what_is_left(
    prepared: Settings,
) -> None:
    settings = keyed(prepared, limit_requests_per_minute=30, limit_address_requests_per_minute=0)
    ada, bob = await key_of(settings, "ada"), await key_of(settings, "bob")
    async with api_server(settings) as one, api_server(settings) as other:
        await early_in_a_minute(settings)
        answers = await asyncio.gather(
            *(client.get(LIST, headers=bearer(ada)) for _ in range(25) for client in (one, other))
        )
        taken = [answer for answer in answers if answer.status_code == 200]
        assert len(taken) == 30
        assert sum(map(refused, answers)) == 20
        assert sorted(left(answer) for answer in taken) == list(range(30))
        assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=30;w=60'}
        assert {left(answer) for answer in answers if answer.status_code == 429} == {0}
        # A second key of the same owner finds the owner's limit used up; another owner's does not.
        assert refused(await one.get(LIST, headers=bearer(await key_of(settings, "ada"))))
        assert left(await other.get(LIST, headers=bearer(bob))) == 29
        assert "RateLimit" not in (await one.get("/healthz")).headers


async def test_a_new_minute_brings_new_requests(prepared: Settings) -> None:
    settings = keyed(prepared, limit_requests_per_minute=2)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        await early_in_a_minute(settings)
        for _ in range(2):
            assert (await client.get(LIST, headers=bearer(key))).status_code == 200
        assert refused(await client.get(LIST, headers=bearer(key)))
        with psycopg.connect(connection_string(settings)) as connection:
            connection.execute("UPDATE request_windows SET minute = minute - 1")
        assert left(await client.get(LIST, headers=bearer(key))) == 1


async def test_whoever_guesses_is_refused_by_address_and_looked_up_no_more(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[tokens.Key] = []
    of_key = sign_ins.of_key

    async def noted(connection: sign_ins.Connection, key: tokens.Key) -> Principal | None:
        looked_up.append(key)
        return await of_key(connection, key)

    monkeypatch.setattr(sign_ins, "of_key", noted)
    settings = keyed(prepared, limit_address_requests_per_minute=10)
    scraper = await key_of(settings, "root", "metrics")
    async with api_server(settings) as client:
        await early_in_a_minute(settings)
        guesses = [bearer(tokens.new_key().text) for _ in range(14)]
        guessed = await asyncio.gather(*(client.get(LIST, headers=guess) for guess in guesses))
        before = len(looked_up)
        for guess in guesses:
            answer = await client.get(LIST, headers=guess)
            assert refused(answer)
            assert left(answer) == 0
        assert len(looked_up) == before
        # What counts against no limit is not refused because of it.
        assert (await client.get("/metrics", headers=bearer(scraper))).status_code == 200
        assert sorted(answer.status_code for answer in guessed) == [401] * 10 + [429] * 4
        assert refused(await client.post(SESSION, json={"key": "plg_x"}))


async def test_a_tier_of_the_quotas_says_how_often(prepared: Settings, tmp_path: Path) -> None:
    file = tmp_path / "quotas.toml"
    file.write_text(
        'default = "free"\n[tiers.free]\nrequests_per_minute = 3\n[tiers.paid]\nrequests_per_minute = 5\n'
        '[owners]\nbob = "paid"\n'
    )
    settings = keyed(prepared, quotas_file=file)
    ada, bob = await key_of(settings, "ada"), await key_of(settings, "bob")
    async with api_server(settings) as client:
        await early_in_a_minute(settings)
        assert left(await client.get(LIST, headers=bearer(ada))) == 2
        assert left(await client.get(LIST, headers=bearer(bob))) == 4
    without_sign_in = prepared.model_copy(update={"quotas_file": file})
    async with api_server(without_sign_in) as client:
        await early_in_a_minute(settings)
        answers = [await client.get(LIST) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


async def test_open_streams_are_counted_over_all_processes_and_given_back(prepared: Settings) -> None:
    settings = keyed(prepared, limit_streams=3)
    key = await key_of(settings, "ada")
    async with api_server(settings) as one, api_server(settings) as other, Wire(settings) as wire:
        async with frames(one, "POST", POST, json=BODY, headers=bearer(key)) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            await stream.until("start")
        events = f"{LIST}/{script.command.conversation_id}/events"

        @asynccontextmanager
        async def opened(client: httpx.AsyncClient) -> AsyncIterator[httpx.Response]:
            async with client.stream("GET", events, headers=bearer(key), timeout=30) as response:
                if response.status_code != 200:
                    await response.aread()
                yield response

        async with AsyncExitStack() as stack:
            async with asyncio.timeout(60):  # the stream above ends a moment after its reader has left
                while (first := await stack.enter_async_context(opened(one))).status_code == 429:
                    await asyncio.sleep(0.1)
            assert first.status_code == 200
            for client in (other, other):
                assert (await stack.enter_async_context(opened(client))).status_code == 200
            for client in (one, other):
                fourth = await stack.enter_async_context(opened(client))
                assert refused(fourth)
                assert "3 streams at once" in fourth.json()["detail"]
                assert (await client.get(LIST, headers=bearer(key))).status_code == 200
        async with asyncio.timeout(60):
            while True:
                async with opened(one) as again:
                    if again.status_code == 200:
                        break
                await asyncio.sleep(0.1)


async def test_streams_of_a_process_that_died_are_forgotten(prepared: Settings) -> None:
    settings = keyed(prepared, limit_streams=1)
    key = await key_of(settings, "ada")
    with psycopg.connect(connection_string(settings)) as connection:
        for age, streams in (("21 seconds", 5), ("1 second", 0)):
            connection.execute(
                "INSERT INTO open_streams VALUES (%s, 'owner:ada', %s, clock_timestamp() - %s::interval)",
                (age, streams, age),
            )
    async with api_server(settings) as client:
        assert (await client.get(f"{LIST}/nobody/events", headers=bearer(key))).status_code == 404
        with psycopg.connect(connection_string(settings)) as connection:
            connection.execute("UPDATE open_streams SET renewed_at = clock_timestamp(), streams = 5")
        assert refused(await client.get(f"{LIST}/nobody/events", headers=bearer(key)))


async def test_bytes_are_counted_whether_a_body_says_its_length_or_not(prepared: Settings) -> None:
    settings = keyed(prepared, limit_mb_per_minute=1)
    async with api_server(settings) as client:
        for chunked in (False, True):
            key = await key_of(settings, f"chunked-{chunked}")
            await early_in_a_minute(settings)
            with psycopg.connect(connection_string(settings)) as connection:
                connection.execute("TRUNCATE request_windows")
            body = b'{"input_data": "' + b"x" * 600_000 + b'", "models": []}'

            async def pieces(body: bytes = body) -> AsyncIterator[bytes]:
                yield body

            statuses = []
            for _ in range(3):
                answer = await client.post(
                    POST,
                    content=pieces() if chunked else body,
                    headers=bearer(key) | {"Content-Type": "application/json"},
                )
                statuses.append(answer.status_code)
            # The length of a chunked body is known at its end: it is the next request that is refused.
            assert statuses == ([413, 413, 429] if chunked else [413, 429, 429])


async def test_without_the_database_each_process_counts_alone(prepared: Settings) -> None:
    """Nobody is let in without it; what is open to all goes on, and is limited."""
    parts = urlsplit(str(prepared.database_url))
    assert parts.hostname is not None
    async with TcpProxy(parts.hostname, parts.port or 5432) as proxy:
        address = str(prepared.database_url).replace(
            f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}"
        )
        settings = keyed(
            prepared.model_copy(update={"database_url": address}), limit_address_requests_per_minute=5
        )
        key = await key_of(prepared, "ada")
        async with api_server(settings) as client:
            await proxy.cut()
            answers = [await client.get(SESSION) for _ in range(7)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
            away = await client.get(LIST, headers=bearer(key))
            assert (away.status_code, away.json()["code"]) == (503, "database_unavailable")


async def test_a_database_row_costs_one_statement_for_all_who_wait(prepared: Settings) -> None:
    settings = keyed(prepared)
    access = Access(settings)
    async with access.running():
        statements = 0
        ask = access.ledger._ask

        async def counted(batch: Any) -> Any:
            nonlocal statements
            statements += 1
            return await ask(batch)

        access.ledger._ask = counted  # type: ignore[method-assign]
        spent = await asyncio.gather(
            *(access.ledger.charge(["owner:ada", "address:a"], 1) for _ in range(1000))
        )
    assert statements <= 3
    assert sorted(one[0].requests for one in spent) == list(range(1, 1001))
    assert max(one[1].bytes for one in spent) == 1000


async def _trickle(port: int, words: bytes, every_s: float) -> tuple[float, bytes]:
    """Sends one byte at a time until the server has had enough; how long that took and what it said."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read(1000))
    try:
        for byte in words:
            writer.write(bytes([byte]))
            done, _ = await asyncio.wait({answer}, timeout=every_s)
            if done:
                break
        async with asyncio.timeout(60):
            try:
                said = await answer
            except ConnectionError:
                said = b""
        return time.monotonic() - begun, said
    finally:
        answer.cancel()
        writer.close()


async def test_clients_that_trickle_are_sent_off_and_hold_nobody_up(prepared: Settings) -> None:
    settings = prepared.model_copy(update={"request_header_timeout_s": 8, "request_body_timeout_s": 8})
    async with api_server(settings) as client:
        port = client.base_url.port
        assert port is not None
        header = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 1000
        body = b"POST /api/estimate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 900

        async def sample(number: int) -> list[float]:
            took = []
            for _ in range(number):
                begun = time.monotonic()
                assert (await client.get("/healthz")).status_code == 200
                took.append(time.monotonic() - begun)
            return sorted(took)

        quiet = await sample(200)
        slow = [asyncio.create_task(_trickle(port, header, 0.5)) for _ in range(600)]
        silent = [asyncio.create_task(_trickle(port, b"", 0.5)) for _ in range(200)]
        halves = [asyncio.create_task(_half(port, body)) for _ in range(200)]
        crowd = [*slow, *silent, *halves]
        async with asyncio.timeout(60):
            while connections(port) < 1000:
                await asyncio.sleep(0.05)
        beside = await sample(200)
        assert not any(one.done() for one in crowd), "nobody was beside them any more"
        ended = await asyncio.gather(*crowd)

    assert all(took < 30 for took, _ in ended)
    assert {said.split(b"\r\n")[0] for _, said in ended[:800]} == {b"HTTP/1.1 408 Request Timeout"}
    p99 = int(0.99 * len(beside))
    # 1,000 connections at work beside them cost others a fraction of a second at most.
    assert beside[p99] < quiet[p99] + 0.5


def connections(port: int) -> int:
    """How many clients are connected to the port of this process."""
    return sum(
        one.status == "ESTABLISHED" and bool(one.laddr) and one.laddr.port == port
        for one in psutil.Process().net_connections("tcp")
    )


async def _half(port: int, request: bytes) -> tuple[float, bytes]:
    """Whole headers and a part of the body, and then nothing."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            return time.monotonic() - begun, await reader.read(1000)
    finally:
        writer.close()


async def test_headers_without_end_are_refused_before_they_are_many(prepared: Settings) -> None:
    async with api_server(prepared) as client:
        assert client.base_url.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 70_000)
        async with asyncio.timeout(30):
            assert (await reader.read(1000)).startswith(b"HTTP/1.1 431 ")
        writer.close()
        large = await client.get("/healthz", headers={"X-Long": "x" * 30_000})
        assert large.status_code == 200


async def test_a_slow_body_that_gets_on_is_taken(prepared: Settings) -> None:
    """Slower than the time-out is long, and yet not idle."""
    settings = prepared.model_copy(update={"request_body_timeout_s": 0.5})

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"input_data": "'
        for _ in range(10):
            yield b"x" * 2000
            await asyncio.sleep(0.2)
        yield b'", "models": []}'

    async with api_server(settings) as client:
        answer = await client.post(
            "/api/estimate", content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "no_models")
