"""What keys look like, which requests need what, which pages may ask, and what is said of limits: the pure parts of access."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from polylogue.api.auth import origins, tokens
from polylogue.api.auth.access import COOKIE, SECURE_COOKIE, session_secret
from polylogue.api.auth.limits import Limit, Policy, Spent, judge, network
from polylogue.api.auth.rules import rule_for
from polylogue.api.principal import Principal
from polylogue.api.trace import loggable
from polylogue.infra.logs import redact
from polylogue.infra.settings import Settings, SettingsError, load_settings
from polylogue.media.quotas import Quotas, Tier

NOBODY: frozenset[str] = frozenset()


def settings(**given_: object) -> Settings:
    return load_settings(_env_file=None, **given_)


def test_a_key_is_read_as_it_was_written_and_shows_its_secret_nowhere_else() -> None:
    key = tokens.new_key()
    assert tokens.parse_key(key.text) == key
    assert key.text == f"plg_{key.key_id}_{key.secret}"
    assert key.secret not in repr(key)
    assert tokens.matches(key.secret, tokens.digest(key.secret))
    assert not tokens.matches(tokens.new_key().secret, tokens.digest(key.secret))


def test_secrets_have_256_bits_and_never_repeat() -> None:
    made = {tokens.new_key().secret for _ in range(1000)}
    assert len(made) == 1000
    assert {len(secret) for secret in made} == {43}  # 32 bytes in base64url


@given(st.text(alphabet=string.ascii_lowercase + string.digits + "_-plgA\n\0é", max_size=80))
def test_what_is_no_key_is_none(text: str) -> None:
    key = tokens.parse_key(text)
    assert key is None or key.text == text


@pytest.mark.parametrize("prefix", [tokens.LINK_PREFIX, tokens.TICKET_PREFIX, tokens.SESSION_PREFIX])
def test_a_secret_of_one_kind_is_none_of_another(prefix: str) -> None:
    secret = tokens.new_secret(prefix)
    others = {tokens.LINK_PREFIX, tokens.TICKET_PREFIX, tokens.SESSION_PREFIX, tokens.KEY_PREFIX} - {prefix}
    assert tokens.is_secret(prefix, secret)
    assert not any(tokens.is_secret(other, secret) for other in others)
    assert tokens.parse_key(secret) is None


@pytest.mark.parametrize(
    "others",
    [
        'theme={"dark": true}',
        "version=3",
        "path=/x",
        "two words=1",
        "a=b c",
        "flag",
        "=",
        "\xe9=1",
        ";;",
        'a="',
    ],
)
@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
def test_what_other_sites_of_the_host_have_put_into_cookies_signs_nobody_out(name: str, others: str) -> None:
    secret = tokens.new_secret(tokens.SESSION_PREFIX)
    for header in (f"{others}; {name}={secret}", f"{name}={secret}; {others}"):
        assert session_secret(Headers(raw=[(b"cookie", header.encode("latin-1"))])) == secret
    apart = [(b"cookie", others.encode("latin-1")), (b"cookie", f"{name}={secret}".encode())]
    assert session_secret(Headers(raw=apart)) == secret


def test_a_cookie_that_has_not_the_form_of_a_session_is_none() -> None:
    link = tokens.new_secret(tokens.LINK_PREFIX)
    for header in ("", f"{COOKIE}=", f"{COOKIE}={link}", f"other={tokens.new_secret(tokens.SESSION_PREFIX)}"):
        assert session_secret(Headers({"cookie": header})) is None


@pytest.mark.parametrize(
    "make",
    [lambda: tokens.new_key().text, *(lambda kind=kind: tokens.new_secret(f"plg{kind}") for kind in "lts")],
    ids=["key", "link", "ticket", "session"],
)
def test_every_kind_of_secret_is_taken_out_of_a_log(make: Callable[[], str]) -> None:
    secret = make()
    for line in (secret, f"GET /x?ticket={secret}&after=1", f"{{'key': '{secret}'}}", f"#{secret}\n"):
        assert secret[-24:-14] not in redact(line)


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/api/conversations", "read"),
        ("HEAD", "/api/v1/media/x/content", "read"),
        ("POST", "/api/compare-stream", "write"),
        ("POST", "/api/estimate", "read"),
        ("POST", "/api/v1/tickets", "read"),
        ("PUT", "/api/estimate", "write"),
        ("DELETE", "/api/conversations/x", "write"),
        ("GET", "/api/admin/projections", "admin"),
        ("POST", "/api/v1/admin/projections/x/pause", "admin"),
        ("GET", "/api/administration", "read"),
        ("GET", "/metrics", "metrics"),
        ("GET", "/healthz", "nothing"),
        ("POST", "/api/session", "nothing"),
        ("PUT", "/api/session", "write"),
        ("GET", "/api/session/x", "read"),
        ("GET", "/api/shared/x/media/y/content", "nothing"),
        ("POST", "/api/shared/x", "write"),
        ("GET", "/api/sharedx", "read"),
        ("POST", "/v1/chat/completions", "write"),
        ("GET", "/v1/models", "read"),
        ("GET", "/api", "read"),
        ("GET", "/api/v1", "read"),
        ("GET", "/api/v2/anything", "read"),
        ("GET", "/", "nothing"),
        ("GET", "/assets/main.js", "nothing"),
        ("GET", "/c/some-conversation", "nothing"),  # a page, the same for everybody
        ("GET", "/apix", "nothing"),
    ],
)
def test_a_request_needs_what_its_path_and_method_say(method: str, path: str, need: str) -> None:
    assert rule_for(method, path).need == need


@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "BREW"]), st.text(max_size=30))
def test_nothing_of_the_api_is_open_that_is_not_named(method: str, rest: str) -> None:
    named = ("openapi.json", "session", "shared")
    if rest.split("/", maxsplit=1)[0] in named or rest.startswith("v1"):
        return
    for prefix in ("/api/", "/api/v1/", "/v1/"):
        rule = rule_for(method, prefix + rest)
        assert rule.need != "nothing"
        assert rule.limited
        assert rule.need != "read" or method in {"GET", "HEAD", "POST"}


def test_tickets_open_streams_that_are_read_and_nothing_else() -> None:
    assert rule_for("GET", "/api/conversations/x/events").takes_ticket
    assert rule_for("GET", "/api/v1/streams/me").takes_ticket
    assert not rule_for("GET", "/api/conversations/x").takes_ticket
    assert not rule_for("POST", "/api/compare-stream").takes_ticket


HOST = "polylogue.example:8443"


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("https://polylogue.example:8443", True),
        ("https://polylogue.example", False),
        ("https://polylogue.example:8443.evil.example", False),
        ("https://evil.example", False),
        ("https://polylogue.example@evil.example:8443", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("https://[", False),
        ("https://polylogue.example:99999999", False),
    ],
)
def test_a_page_is_of_this_host_or_it_is_not(origin: str, same: bool) -> None:
    assert origins.same_host(origin, HOST) is same
    refused = origins.refusal_with_cookie("POST", HOST, origin, NOBODY)
    assert (refused is None) is same
    assert origins.refusal_with_cookie("GET", HOST, origin, NOBODY) is None


def test_default_ports_go_without_saying() -> None:
    assert origins.same_host("https://polylogue.example", "polylogue.example")
    assert origins.same_host("https://polylogue.example:443", "polylogue.example:443")
    assert origins.same_host("http://polylogue.example", "polylogue.example:80")
    allowed = origins.allowed_origins("https://Friend.example:443 , http://other.example")
    assert allowed == {"https://friend.example", "http://other.example"}


def test_a_cookie_without_an_origin_writes_nothing() -> None:
    assert origins.refusal_with_cookie("DELETE", HOST, None, NOBODY) == origins.FOREIGN_ORIGIN


@given(st.text(max_size=40), st.text(max_size=40))
def test_without_sign_in_only_this_machine_is_answered(host: str, origin: str) -> None:
    refused = origins.refusal_without_sign_in("POST", host, origin, NOBODY)
    if refused is None:
        assert origins.host_named(host) in {"localhost", "::1"} or origins.host_named(host).startswith("127.")
        assert origin.lower() == f"http://{host}".lower()


@pytest.mark.parametrize(
    "host",
    [
        "polylogue.example",
        "10.0.0.7:8000",
        "0.0.0.0:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ],
)
def test_a_name_that_somebody_else_has_led_here_is_refused_also_to_its_own_pages(host: str) -> None:
    for method, origin in (("GET", None), ("GET", f"http://{host}"), ("POST", f"http://{host}")):
        assert origins.refusal_without_sign_in(method, host, origin, NOBODY) == origins.FOREIGN_HOST
    for local in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert origins.refusal_without_sign_in("POST", local, f"http://{local}", NOBODY) is None
        assert (
            origins.refusal_without_sign_in("POST", local, f"http://{host or 'null'}", NOBODY)
            == origins.FOREIGN_ORIGIN
        )


def test_without_sign_in_named_pages_may_write() -> None:
    allowed = origins.allowed_origins("http://localhost:5173")
    for origin, refused in (
        ("http://localhost:5173", False),
        ("http://localhost:5174", True),
        ("null", True),
    ):
        answer = origins.refusal_without_sign_in("POST", "localhost:8000", origin, allowed)
        assert (answer is not None) is refused


def test_sign_in_is_needed_wherever_others_reach() -> None:
    assert settings().auth_mode == "local"
    assert settings(host="::1").auth_mode == "local"
    assert settings(host="localhost", auth="keys").auth_mode == "keys"
    assert settings(host="0.0.0.0").auth_mode == "keys"
    assert settings(host="polylogue.example").auth_mode == "keys"
    with pytest.raises(SettingsError, match="AUTH cannot be local"):
        settings(host="0.0.0.0", auth="local")
    for origins_ in ("*", "null", "https://x.example/path"):
        with pytest.raises(SettingsError, match="CORS_ORIGINS"):
            settings(cors_origins=origins_)


ADA = Principal("ada", frozenset({"read"}), "key:abc")


def test_a_request_counts_against_its_key_its_owner_and_its_address() -> None:
    policy = Policy(settings(), None, signed_in=True)
    assert [limit.subject for limit in policy.limits(ADA, "203.0.113.7")] == [
        "key:abc",
        "owner:ada",
        "address:203.0.113.7",
    ]
    assert [limit.subject for limit in policy.limits(None, "203.0.113.7")] == ["address:203.0.113.7"]
    assert Policy(settings(), None, signed_in=False).limits(ADA, "127.0.0.1") == []


def test_a_tier_says_how_often_and_may_say_never() -> None:
    quotas = Quotas("none", {"none": Tier(requests_per_minute=0), "free": Tier()}, {"bob": "free"})
    policy = Policy(settings(limit_requests_per_minute=7), quotas, signed_in=True)
    assert [limit.requests for limit in policy.limits(ADA, "::1")][:2] == [0, 0]
    bob = Principal("bob", ADA.scopes, "key:def")
    assert [limit.requests for limit in policy.limits(bob, "::1")][:2] == [7, 7]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_an_address_stands_for_whoever_has_it(address: str, counted: str) -> None:
    assert network(address) == counted


def test_what_is_left_is_said_in_the_words_of_the_draft() -> None:
    limits = [
        Limit("key:a", 100, None, None),
        Limit("owner:b", 50, None, None),
        Limit("address:c", None, 1, 1),
    ]
    spent = [Spent(58, 0, 0, 16.2), Spent(20, 0, 0, 16.2), Spent(999, 0, 9, 16.2)]
    verdict = judge(limits, spent, stream=False)
    assert verdict.refusal is None
    assert dict(verdict.headers) == {
        "RateLimit-Policy": '"default";q=50;w=60',
        "RateLimit": '"default";r=30;t=17',
    }
    assert judge(limits, spent, stream=True).refusal is not None


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 9), st.floats(-1, 60))
def test_a_verdict_refuses_what_is_beyond_a_limit_and_nothing_else(
    requests: int, size: int, streams: int, ends_in_s: float
) -> None:
    limit, spent = Limit("key:a", 100, 100, 5), Spent(requests, size, streams, ends_in_s)
    verdict = judge([limit], [spent], stream=True)
    assert (verdict.refusal is not None) == (requests > 100 or size > 100 or streams > 5)
    assert ("Retry-After" in verdict.headers) == (verdict.refusal is not None)
    if verdict.refusal is not None:
        assert int(verdict.headers["Retry-After"]) >= 1
    assert int(verdict.headers["RateLimit"].split(";")[1][2:]) == max(0, 100 - requests)


def test_a_share_link_is_left_out_of_a_logged_path() -> None:
    assert loggable("/api/v1/shared/secret/media/x/content") == "/api/v1/shared/…/media/x/content"
    assert loggable("/shared/secret") == "/shared/…"
    assert loggable("/api/conversations/x") == "/api/conversations/x"
