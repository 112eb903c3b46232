"""Sign-in of browsers against the live API: links, sessions, cookies, and which pages may use them."""

from __future__ import annotations

import asyncio

import pytest

from polylogue.api.auth import accounts
from polylogue.infra.settings import Settings
from tests.support.accounts import DEAD_WITHIN_S, bearer, dead, id_of, key_of, keyed, with_accounts
from tests.support.api_server import LIST, POST, api_server, code
from tests.support.played import Played

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


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


async def test_a_cookie_writes_for_its_own_pages_only(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada")
    client = served.one
    client.cookies.clear()
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


async def test_only_named_origins_read_answers_across_sites(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada")
    client = served.one
    client.cookies.clear()
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


async def test_a_session_ends_with_the_key_that_it_came_from(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada", "read")
    client = served.one
    client.cookies.clear()
    signed_in = await client.post("/api/session", json={"key": key})
    assert signed_in.json()["scopes"] == ["read"]
    client.cookies = signed_in.cookies
    assert (await client.get(LIST)).status_code == 200
    await with_accounts(settings, lambda connection: accounts.revoke_key(connection, id_of(key)))
    assert await dead(lambda: client.get(LIST)) < DEAD_WITHIN_S
    assert code(await client.post("/api/session", json={"key": key})) == (401, "sign_in_refused")


async def test_beyond_this_machine_the_cookie_is_secure_and_needs_https(served: Played) -> None:
    settings = served.settings
    key = await key_of(settings, "ada")
    client = served.one
    client.cookies.clear()
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
