"""Keys and tickets against the live API: who gets in, with what, until when; and that nobody else learns them."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import structlog

from polylogue.api.auth import accounts, tokens
from polylogue.infra.logs import configure_logs
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.accounts import DEAD_WITHIN_S, bearer, dead, id_of, key_of, keyed, with_accounts
from tests.support.api_server import LIST, POST, api_server, code
from tests.support.played import Played
from tests.support.sse_client import frames, until

BODY: dict[str, Any] = {"input_data": "Hello", "models": ["sim/text"]}

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


async def test_a_key_opens_what_its_scopes_say_and_nothing_opens_without_one(served: Played) -> None:
    settings = served.settings
    reader, writer = await key_of(settings, "ada", "read"), await key_of(settings, "ada", "write")
    admin = await key_of(settings, "root", "read", "admin")
    scraper = await key_of(settings, "root", "metrics")
    over = await key_of(settings, "ada", "read", life=timedelta(seconds=0))
    client = served.one
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


async def test_an_ended_key_is_dead_on_every_process_and_its_streams_close(served: Played) -> None:
    settings = served.settings
    revoked, kept = await key_of(settings, "ada"), await key_of(settings, "ada")
    banned = await key_of(settings, "bob")
    one, other, wire = served.one, served.other, served.wire
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
    async with frames(other, "GET", events, standard=True, params={"after": last}, headers=bearer(kept)) as s:
        assert [frame["type"] for frame in await s.until("complete")] == ["chunk", "done", "complete"]
    async with frames(other, "GET", events, params={"after": last}, headers=bearer(revoked)) as s:
        assert code(s.response) == (401, "not_signed_in")


async def test_a_key_that_expires_while_its_stream_is_open_closes_it(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada", life=timedelta(seconds=3))
    client, wire = served.one, served.wire
    async with frames(client, "POST", POST, json=BODY, headers=bearer(key)) as stream:
        await wire.write(*(await wire.script()).opening())
        assert [frame["type"] for frame in await stream.rest()][-1] == "start"
    assert code(await client.get(LIST, headers=bearer(key))) == (401, "not_signed_in")


async def test_a_rotated_key_overlaps_with_its_successor(served: Played) -> None:
    settings = served.settings
    old = await key_of(settings, "ada", "read", label="laptop")
    new, _ = await with_accounts(
        settings, lambda connection: accounts.rotate_key(connection, id_of(old), timedelta(seconds=2))
    )
    client = served.one
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


async def test_a_ticket_opens_one_stream_once_and_the_next_one_goes_on(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada")
    client, wire = served.one, served.wire

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

    contested = {"ticket": await ticket(), "turn": script.command.turn_id}
    servers = (served.one, served.other) * 3
    answers = await asyncio.gather(*(server.get(events, params=contested) for server in servers))
    assert sorted(one.status_code for one in answers) == [200, *[401] * 5], "two processes took one ticket"

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


async def test_secrets_are_kept_nowhere(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada")
    client = served.one
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
