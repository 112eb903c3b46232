"""Where notices may go, how they are signed, and when they are sent again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from aiohttp import web

from polylogue.infra.settings import Settings, SettingsError, load_settings
from polylogue.streams import webhook_delivery
from polylogue.streams.webhook_delivery import Deliverer, signature, webhook_target
from polylogue.streams.webhook_plan import Counts, TurnNotice
from tests.support.file_server import FileServer, Names, file_server

NOTICE = TurnNotice(
    id="t1.1",
    conversation_id="c1",
    turn_id="t1",
    round=1,
    owner_id="local",
    media=(),
    counts=Counts(models_requested=1, models_successful=1, models_failed=0, models_cancelled=0),
    occurred_at="2026-01-01T00:00:00.000Z",
)


def configured(url: str, hosts: str = "127.0.0.1,hooks.test", **changes: object) -> Settings:
    values = {"webhook_url": url, "webhook_allowed_hosts": hosts, "webhook_secret": "secret", **changes}
    return load_settings(_env_file=None, **values)


class Receiver:
    """Answers with one status after the other; the last one stays."""

    def __init__(self, *answers: int | Callable[[], web.Response]) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.signatures.append(request.headers["Polylogue-Signature"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=answer) if isinstance(answer, int) else answer()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_delivery, "WAIT_INITIAL_S", 0.01)
    monkeypatch.setattr(webhook_delivery, "WAIT_MAX_S", 0.05)


async def delivered(server: FileServer, **changes: object) -> bool:
    settings = configured(f"{server.origin}/hook", **({"webhook_deadline_s": 20} | changes))
    async with asyncio.timeout(10):
        return await Deliverer(settings).deliver(NOTICE)


async def test_a_notice_is_sent_until_it_is_taken_the_same_body_signed_each_time() -> None:
    receiver = Receiver(503, 429, 204)
    async with file_server(receiver) as server:
        assert await delivered(server)
    assert len(receiver.bodies) == 3
    assert len(set(receiver.bodies)) == 1
    assert json.loads(receiver.bodies[0])["id"] == "t1.1"
    for text, body in zip(receiver.signatures, receiver.bodies, strict=True):
        at, _, signed = text.partition(",")
        expected = hmac.new(b"secret", at.removeprefix("t=").encode() + b"." + body, hashlib.sha256)
        assert signed == "v1=" + expected.hexdigest()


def test_the_signature_covers_the_time_and_the_body() -> None:
    # As `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` has it.
    assert signature("secret", b"{}", 1700000000) == (
        "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    )
    assert signature("secret", b"{}", 1700000001) != signature("secret", b"{}", 1700000000)
    assert signature("other", b"{}", 1700000000) != signature("secret", b"{}", 1700000000)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 301, 304])
async def test_an_answer_that_will_not_change_ends_it(status: int) -> None:
    receiver = Receiver(status)
    async with file_server(receiver) as server:
        assert not await delivered(server)
    assert len(receiver.bodies) == 1


async def test_a_redirect_is_not_followed() -> None:
    elsewhere = Receiver(200)
    async with file_server(elsewhere) as other:
        receiver = Receiver(lambda: web.Response(status=307, headers={"Location": other.origin}))
        async with file_server(receiver) as server:
            assert not await delivered(server)
    assert elsewhere.bodies == []


async def test_it_is_given_up_at_the_deadline() -> None:
    receiver = Receiver(500)
    async with file_server(receiver) as server:
        assert not await delivered(server, webhook_deadline_s=0.3)
    assert len(receiver.bodies) > 1


async def test_the_receiver_says_when_to_come_again() -> None:
    receiver = Receiver(lambda: web.Response(status=503, headers={"Retry-After": "1"}), 200)
    loop = asyncio.get_running_loop()
    async with file_server(receiver) as server:
        begun = loop.time()
        assert await delivered(server)
        assert loop.time() - begun >= 1
        late = Receiver(lambda: web.Response(status=503, headers={"Retry-After": "3600"}))
    async with file_server(late) as server:
        assert not await delivered(server)
    assert len(late.bodies) == 1


async def test_an_allowed_host_that_turns_to_the_clouds_own_address_is_not_called() -> None:
    names = Names(["169.254.169.254"])
    settings = configured("https://hooks.test/x", webhook_deadline_s=0.2)
    assert not await Deliverer(settings, resolver=lambda: names).deliver(NOTICE)
    assert names.asked


@pytest.mark.parametrize(
    ("url", "hosts", "sentence"),
    [
        (
            "https://elsewhere.test/x",
            "hooks.test",
            "elsewhere.test, which is not among WEBHOOK_ALLOWED_HOSTS",
        ),
        ("https://sub.hooks.test/x", "hooks.test", "not among"),
        ("https://hooks.test.evil.test/x", "hooks.test", "not among"),
        ("https://hooks.test/x", "", "not among"),
        ("http://hooks.test/x", "hooks.test", "has to be https"),
        ("https://user:pass@hooks.test/x", "hooks.test", "holds a user name"),
        ("https://169.254.169.254/x", "169.254.169.254", "not a public one"),
    ],
)
def test_a_url_that_must_not_be_called_is_one_sentence_at_the_start(
    url: str, hosts: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        webhook_target(configured(url, hosts))
    assert str(refused.value).startswith("WEBHOOK_URL ")
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://hooks.test/x?y=1", "other.test, Hooks.Test"),
        ("http://127.0.0.1:9/x", "127.0.0.1"),
        ("http://localhost:9/x", "localhost"),
        ("http://[::1]:9/x", "::1"),
        ("https://10.0.0.7/x", "10.0.0.7"),
    ],
)
def test_a_host_that_the_operator_has_named_may_be_called(url: str, hosts: str) -> None:
    assert str(webhook_target(configured(url, hosts)).url) == url


def test_a_webhook_without_a_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET is not set"):
        webhook_target(configured("https://hooks.test/x", webhook_secret=None))
