"""Keys, sessions, tickets and links against the live API: who gets in, with what, until when, on every process."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
import structlog

from polylogue.api.auth import accounts, tokens
from polylogue.infra.logs import configure_logs
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.accounts import bearer, id_of, key_of, keyed, with_accounts
from tests.support.api_server import api_server
from tests.support.script import Wire
from tests.support.sse_client import frames

BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}
POST = "/api/compare-stream"
LIST = "/api/conversations"
DEAD_WITHIN_S = 5.0

pytestmark = [pytest.mark.stack]


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def until(reading: AsyncIterator[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of that type; the same reading goes on afterwards."""
    seen = []
    async for frame in reading:
        seen.append(frame)
        if frame["type"] == kind:
            return seen
    raise AssertionError(f"the stream ended without {kind}")


async def dead(ask: Callable[[], Awaitable[httpx.Response]]) -> float:
    """Seconds until the answer is 401."""
    begun = time.monotonic()
    async with asyncio.timeout(60):
        while (await ask()).status_code != 401:
            await asyncio.sleep(0.05)
    return time.monotonic() - begun


async def test_a_key_opens_what_its_scopes_say_and_nothing_opens_without_one(prepared: Settings) -> None:
    settings = keyed(prepared)
    reader, writer = await key_of(settings, "ada", "read"), await key_of(settings, "ada", "write")
    admin = await key_of(settings, "root", "read", "admin")
    scraper = await key_of(settings, "root", "metrics")
    over = await key_of(settings, "ada", "read", life=timedelta(seconds=0))
    async with api_server(settings) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/api/v1/openapi.json")).status_code == 200
        without = await client.get(LIST)
        assert code(without) == (401, "not_signed_in")
        assert without.headers["www-authenticate"] == "Bearer"
        strange = tokens.new_key()
        for wrong in (
            over,
            strange.text,
            f"plg_{id_of(reader)}_{strange.secret}",  # somebody's id with another secret
            reader[:-1],
            reader + "A",
            "nonsense",
        ):
            assert code(await client.get(LIST, headers=bearer(wrong))) == (401, "not_signed_in"), wrong
        assert code(await client.get(LIST, headers={"Authorization": f"Basic {reader}"}))[0] == 401
        assert code(await client.get(LIST, params={"key": reader}))[0] == 401  # addresses end up in logs

        assert (await client.get(LIST, headers=bearer(reader))).status_code == 200
        assert code(await client.post(POST, json=BODY, headers=bearer(reader))) == (403, "scope_missing")
        assert code(await client.get(LIST, headers=bearer(writer))) == (403, "scope_missing")
        assert code(await client.get("/api/admin/projections", headers=bearer(reader))) == (403, "admin_only")
        shown = await client.get("/api/admin/projections?sample_ms=0", headers=bearer(admin))
        assert shown.status_code == 200
        assert code(await client.get("/metrics")) == (401, "not_signed_in")
        assert code(await client.get("/metrics", headers=bearer(reader))) == (403, "scope_missing")
        assert (await client.get("/metrics", headers=bearer(scraper))).status_code == 200
        assert (await client.get("/metrics", headers=bearer(admin))).status_code == 200
        assert code(await client.get(LIST, headers=bearer(scraper))) == (403, "scope_missing")
        openai = await client.get("/v1/models", headers=bearer(strange.text))
        assert openai.status_code == 401
        assert openai.json()["error"]["code"] == "invalid_api_key"


async def test_an_ended_key_is_dead_on_every_process_and_its_streams_close(prepared: Settings) -> None:
    settings = keyed(prepared)
    revoked, kept = await key_of(settings, "ada"), await key_of(settings, "ada")
    banned = await key_of(settings, "bob")
    async with api_server(settings) as one, api_server(settings) as other, Wire(settings) as wire:
        async with frames(one, "POST", POST, json=BODY, headers=bearer(revoked)) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            reading = stream.frames()
            before = await until(reading, "start")
            events = f"{LIST}/{script.command.conversation_id}/events"
            async with (
                frames(other, "GET", events, standard=True, headers=bearer(kept)) as untouched,
                frames(one, "POST", POST, json=BODY, headers=bearer(banned)) as theirs,
            ):
                for client, key in ((one, revoked), (other, revoked), (other, banned)):
                    assert (await client.get(LIST, headers=bearer(key))).status_code == 200

                async def end(connection: accounts.Connection) -> None:
                    await accounts.revoke_key(connection, id_of(revoked))
                    await accounts.set_disabled(connection, "bob", disabled=True)

                await with_accounts(settings, end)
                begun = time.monotonic()
                took = await asyncio.gather(
                    dead(lambda: one.get(LIST, headers=bearer(revoked))),
                    dead(lambda: other.get(LIST, headers=bearer(revoked))),
                    dead(lambda: other.get(LIST, headers=bearer(banned))),
                )
                rest = [frame async for frame in reading]
                await theirs.rest()
                closed = time.monotonic() - begun
                assert max(*took, closed) < DEAD_WITHIN_S
                # Nothing is lost by it: another key goes on after the last frame.
                await wire.write(*script.answer(script.start.responses[0].response_id, "Here."))
                assert [frame["type"] for frame in await untouched.until("complete")][-1] == "complete"
        last = [*before, *rest][-1]["id"]
        async with frames(
            other, "GET", events, standard=True, params={"after": last}, headers=bearer(kept)
        ) as s:
            assert [frame["type"] for frame in await s.until("complete")] == ["chunk", "done", "complete"]
        async with frames(other, "GET", events, params={"after": last}, headers=bearer(revoked)) as s:
            assert code(s.response) == (401, "not_signed_in")


async def test_a_key_that_expires_while_its_stream_is_open_closes_it(prepared: Settings) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada", life=timedelta(seconds=3))
    async with api_server(settings) as client, Wire(settings) as wire:
        async with frames(client, "POST", POST, json=BODY, headers=bearer(key)) as stream:
            await wire.write(*(await wire.script()).opening())
            assert [frame["type"] for frame in await stream.rest()][-1] == "start"
        assert code(await client.get(LIST, headers=bearer(key))) == (401, "not_signed_in")


async def test_a_rotated_key_overlaps_with_its_successor(prepared: Settings) -> None:
    settings = keyed(prepared)
    old = await key_of(settings, "ada", "read", label="laptop")
    new, _ = await with_accounts(
        settings, lambda connection: accounts.rotate_key(connection, id_of(old), timedelta(seconds=2))
    )
    async with api_server(settings) as client:
        assert (await client.get(LIST, headers=bearer(old))).status_code == 200
        assert (await client.get(LIST, headers=bearer(new))).status_code == 200
        await dead(lambda: client.get(LIST, headers=bearer(old)))
        assert (await client.get(LIST, headers=bearer(new))).status_code == 200
        assert code(await client.post(POST, json=BODY, headers=bearer(new))) == (403, "scope_missing")
    with pytest.raises(accounts.AccountError, match="works no more"):
        await with_accounts(
            settings, lambda connection: accounts.rotate_key(connection, id_of(old), timedelta(hours=1))
        )
    listed = {row["key_id"]: row for row in await with_accounts(settings, accounts.keys)}
    assert (listed[id_of(old)]["works"], listed[id_of(old)]["successor"]) == (False, id_of(new))
    assert listed[id_of(new)]["label"] == "laptop"


async def test_secrets_are_kept_nowhere(prepared: Settings) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        signed_in = await client.post("/api/session", json={"key": key})
        session = signed_in.cookies["polylogue_session"]
        ticket = (await client.post("/api/tickets", headers=bearer(key))).json()["ticket"]
    with psycopg.connect(connection_string(settings)) as connection:
        kept = "".join(
            str(connection.execute(f"SELECT t::text FROM {table} t").fetchall())
            for table in (
                "users",
                "api_keys",
                "sessions",
                "one_time_secrets",
                "request_windows",
                "open_streams",
            )
        )
    assert id_of(key) in kept
    for secret in (key, session, ticket):
        assert secret[-24:] not in kept
        assert secret[-24:].encode().hex() not in kept


async def test_a_link_signs_one_browser_in_and_signing_out_ends_it(prepared: Settings) -> None:
    settings = keyed(prepared)
    link = await with_accounts(settings, accounts.first_link)
    assert link is not None
    assert await with_accounts(settings, accounts.first_link) is None
    async with api_server(settings) as client, api_server(settings) as other:
        own = {"Origin": str(client.base_url).rstrip("/")}
        asked = (await client.get("/api/session")).json()
        assert asked == {"auth": "keys", "owner": None, "scopes": []}
        answers = await asyncio.gather(
            *(client.post("/api/session", json={"link": link}, headers=own) for _ in range(4))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
        (signed_in,) = (answer for answer in answers if answer.status_code == 200)
        cookie = signed_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie  # loopback has no TLS
        assert signed_in.json()["owner"] == "admin"
        client.cookies = signed_in.cookies
        told = (await client.get("/api/session")).json()
        assert told == {"auth": "keys", "owner": "admin", "scopes": ["admin", "read", "write"]}
        other.cookies = signed_in.cookies
        assert (await other.get(LIST)).status_code == 200
        assert (await client.delete("/api/session", headers=own)).status_code == 204
        assert await dead(lambda: other.get(LIST)) < DEAD_WITHIN_S
        client.cookies = signed_in.cookies
        assert code(await client.get(LIST)) == (401, "not_signed_in")


async def test_a_cookie_writes_for_its_own_pages_only(prepared: Settings) -> None:
    settings = keyed(prepared).model_copy(update={"cors_origins": "https://friend.example"})
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        own = str(client.base_url).rstrip("/")
        client.cookies = (await client.post("/api/session", json={"key": key})).cookies
        estimate = f"{LIST}/nobody/cancel"
        for origin in (
            None,
            "null",
            "http://evil.example",
            own + ".evil.example",
            own[:-1],
            "https://friend.example:8443",
        ):
            headers = {"Origin": origin} if origin else {}
            assert code(await client.post(estimate, headers=headers)) == (403, "foreign_origin"), origin
            if origin:
                assert code(await client.delete("/api/session", headers=headers)) == (403, "foreign_origin")
                signing = await client.post("/api/session", json={"key": key}, headers=headers)
                assert code(signing) == (403, "foreign_origin")
        for origin in (own, "https://friend.example"):
            assert code(await client.post(estimate, headers={"Origin": origin})) == (404, "not_found")
        # A header is sent by no browser by itself.
        client.cookies.clear()
        from_anywhere = await client.post(estimate, headers=bearer(key) | {"Origin": "http://evil.example"})
        assert code(from_anywhere) == (404, "not_found")


async def test_only_named_origins_read_answers_across_sites(prepared: Settings) -> None:
    settings = keyed(prepared).model_copy(update={"cors_origins": "https://friend.example"})
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in (
            ("https://friend.example", True),
            ("https://evil.example", False),
            ("https://friend.example.evil.example", False),
            ("http://friend.example", False),
            ("null", False),
        ):
            before = await client.options(POST, headers=asked | {"Origin": origin})
            read = await client.get(LIST, headers=bearer(key) | {"Origin": origin})
            refused = await client.get(LIST, headers={"Origin": origin})
            assert refused.status_code == 401
            for response in (before, read, refused):
                said = response.headers.get("access-control-allow-origin")
                assert said == (origin if allowed else None), (origin, response)
                assert said != "*"
            assert before.is_success is allowed
            if allowed:
                assert read.headers["access-control-allow-credentials"] == "true"
                assert "RateLimit" in read.headers["access-control-expose-headers"]


async def test_a_session_ends_with_the_key_that_it_came_from(prepared: Settings) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada", "read")
    async with api_server(settings) as client:
        signed_in = await client.post("/api/session", json={"key": key})
        assert signed_in.json()["scopes"] == ["read"]
        client.cookies = signed_in.cookies
        assert (await client.get(LIST)).status_code == 200
        await with_accounts(settings, lambda connection: accounts.revoke_key(connection, id_of(key)))
        assert await dead(lambda: client.get(LIST)) < DEAD_WITHIN_S
        assert code(await client.post("/api/session", json={"key": key})) == (401, "sign_in_refused")


async def test_beyond_this_machine_the_cookie_is_secure_and_needs_https(prepared: Settings) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        named = {"Host": "polylogue.example"}
        plain = await client.post(
            "/api/session", json={"key": key}, headers=named | {"Origin": "http://polylogue.example"}
        )
        assert code(plain) == (400, "https_needed")
        secure = await client.post(
            "/api/session", json={"key": key}, headers=named | {"Origin": "https://polylogue.example"}
        )
        cookie = secure.headers["set-cookie"]
        assert cookie.startswith("__Host-polylogue_session=plgs_")
        assert "; Secure" in cookie
        assert "; Path=/" in cookie
        assert "Domain" not in cookie
        sent = named | {"Cookie": cookie.partition(";")[0]}
        assert (await client.get(LIST, headers=sent)).status_code == 200


async def test_a_ticket_opens_one_stream_once_and_the_next_one_goes_on(prepared: Settings) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client, Wire(settings) as wire:

        async def ticket() -> str:
            made = await client.post("/api/tickets", headers=bearer(key))
            assert made.status_code == 201
            assert made.json()["expires_in_s"] == 30
            return str(made.json()["ticket"])

        async with frames(client, "POST", POST, json=BODY, headers=bearer(key)) as stream:
            script = await wire.script()
            await wire.write(*script.opening())
            await stream.until("start")
        events = f"{LIST}/{script.command.conversation_id}/events"
        first = await ticket()
        async with frames(client, "GET", events, standard=True, params={"ticket": first}) as stream:
            last = (await stream.until("start"))[-1]["id"]
            again = await client.get(events, params={"ticket": first})
            assert code(again) == (401, "not_signed_in")
        second = await ticket()
        assert code(await client.get(LIST, params={"ticket": second}))[0] == 401  # for streams alone
        assert code(await client.post(POST, json=BODY, params={"ticket": second}))[0] == 401
        await wire.write(*script.answer(script.start.responses[0].response_id, "Here."))
        more = {"ticket": second, "after": last}
        async with frames(client, "GET", events, standard=True, params=more) as stream:
            assert [frame["type"] for frame in await stream.until("complete")] == [
                "chunk",
                "done",
                "complete",
            ]

        spent, revoked = await ticket(), await ticket()
        with psycopg.connect(connection_string(settings)) as connection:
            connection.execute(
                "UPDATE one_time_secrets SET expires_at = now() WHERE digest = %s", (tokens.digest(spent),)
            )
        assert (await client.get(events, params={"ticket": spent})).status_code == 401
        async with frames(client, "GET", events, standard=True, params={"ticket": await ticket()}) as stream:
            reading = stream.frames()
            await until(reading, "complete")
            await with_accounts(settings, lambda connection: accounts.revoke_key(connection, id_of(key)))
            begun = time.monotonic()
            assert [frame async for frame in reading] == []
            assert time.monotonic() - begun < DEAD_WITHIN_S
        assert (await client.get(events, params={"ticket": revoked})).status_code == 401


async def test_no_secret_reaches_the_log(prepared: Settings, canary_log: io.StringIO) -> None:
    settings = keyed(prepared)
    key = await key_of(settings, "ada")
    async with api_server(settings) as client:
        signed_in = await client.post("/api/session", json={"key": key})
        session = signed_in.cookies["polylogue_session"]
        ticket = (await client.post("/api/tickets", headers=bearer(key))).json()["ticket"]
        for secret in (key, session, ticket):
            await client.get(LIST, params={"ticket": secret, "cursor": secret}, headers=bearer(key))
            await client.get(f"{LIST}/nobody/events", params={"ticket": secret})
            await client.get(LIST, headers={"Cookie": f"polylogue_session={secret}"})
            await client.post("/api/session", json={"link": secret})
            logging.getLogger("uvicorn.error").warning("of a library: %s", f"?ticket={secret}")
            failure = RuntimeError(secret)
            logging.getLogger("uvicorn.error").error("with a traceback", exc_info=failure)
        await client.get("/api/shared/canary-in-a-share-link/media")
    written = canary_log.getvalue()
    assert '"request"' in written
    assert "with a traceback" in written
    for secret in (key, session, ticket):
        assert secret[-24:] not in written
    assert "canary-in-a-share-link" not in written


@pytest.fixture
def canary_log(prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that a process of its own would write to its log; the test's own client says nothing."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    for client in ("httpx", "httpcore"):
        monkeypatch.setattr(logging.getLogger(client), "level", logging.WARNING)
    configure_logs(prepared.model_copy(update={"log_level": "debug"}), process="api")
    try:
        yield written
    finally:
        root.handlers[:], _ = kept, root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
