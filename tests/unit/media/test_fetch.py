"""Fetching what a provider keeps: what comes, what is refused, and who sees the key."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from polylogue.infra.settings import SettingsError, load_settings
from polylogue.media.addresses import origins
from polylogue.media.fetch import (
    FetchInterruptedError,
    FetchLimits,
    MediaFetcher,
    TooLargeError,
    UnfetchableError,
)
from polylogue.media.outbound import asked_wait_s
from polylogue.media.spool import Spool
from tests.support.file_server import FileServer, Names, file_server, trusting

DATA = bytes(range(256)) * 4096  # 1 MiB
LIMITS = FetchLimits(max_bytes=2 * len(DATA), total_s=10, connect_s=2, first_byte_s=2, idle_s=2)


def fetcher(
    *allowed: str,
    limits: FetchLimits = LIMITS,
    names: Names | None = None,
    gateway: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    progress: Callable[[], None] = lambda: None,
) -> MediaFetcher:
    return MediaFetcher(
        limits,
        allowed=origins(",".join(allowed)),
        gateway=gateway,
        api_key="secret-key",
        resolver=lambda: names or Names(["127.0.0.1"]),
        ssl_context=ssl_context,
        progress=progress,
    )


async def picture(_: web.Request) -> web.StreamResponse:
    return web.Response(body=DATA)


def content(fetched: Spool) -> bytes:
    with fetched:
        data = fetched.read_at(0, fetched.size_bytes + 1)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (fetched.size_bytes, fetched.sha256)
    return data


async def test_the_bytes_come_whole_and_the_way_they_were_signed() -> None:
    steps: list[None] = []
    async with file_server(picture) as server:
        getting = fetcher(server.origin, progress=lambda: steps.append(None))
        assert content(await getting.fetch(f"{server.origin}/a%2Fb?sig=%2b%20c#part")) == DATA
    (request,) = server.requests
    assert request.raw_path == "/a%2Fb?sig=%2b%20c"
    assert "Authorization" not in request.headers
    assert len(steps) > 1


async def test_loopback_is_refused_where_nobody_trusts_it() -> None:
    async with file_server(picture) as server:
        for url in (server.origin, server.named("media.test"), server.origin.replace("http", "https")):
            with pytest.raises(UnfetchableError):
                await fetcher("http://elsewhere.test").fetch(url)
    assert server.requests == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:8.8.8.8"], ["169.254.169.254"], []]
)
async def test_a_name_with_one_address_that_is_not_public_is_refused(addresses: list[str]) -> None:
    names = Names(addresses)
    with pytest.raises(UnfetchableError, match="not a public one"):
        await fetcher(names=names).fetch("https://rebind.test/x.png")
    assert names.asked == ["rebind.test"]


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[Any] = []

    async def start_connection(addr_infos: list[Any], **_: Any) -> Any:
        connected.extend(info[4][0] for info in addr_infos)
        raise OSError("no way out of a test")

    monkeypatch.setattr(aiohttp.connector.aiohappyeyeballs, "start_connection", start_connection)
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    getting = fetcher(names=names)
    with pytest.raises(FetchInterruptedError):
        await getting.fetch("https://rebind.test/x.png")
    assert (names.asked, set(connected)) == (["rebind.test"], {"8.8.8.8"})
    with pytest.raises(UnfetchableError, match="not a public one"):  # the next attempt asks and judges again
        await getting.fetch("https://rebind.test/x.png")
    assert set(connected) == {"8.8.8.8"}


async def test_a_redirect_is_judged_like_the_first_address() -> None:
    async def lead(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.query["status"]), headers={"Location": request.query["to"]})

    async with file_server(lead) as server:
        getting = fetcher(server.origin)
        for to in (
            "http://169.254.169.254/latest/meta-data/",
            "https://127.0.0.1/",
            "https://rebind.test/",
            "http://example.com/",
            "https://user@example.com/",
            "file:///etc/passwd",
            "https://[::1",
            f"//localhost:{server.port}/",
        ):
            for status in (301, 302, 303, 307, 308):
                with pytest.raises(UnfetchableError):
                    await getting.fetch(str(aiohttp.client.URL(server.origin) % {"status": status, "to": to}))
    assert len(server.requests) == 8 * 5


async def test_redirects_are_followed_five_times() -> None:
    async def count_down(request: web.Request) -> web.StreamResponse:
        left = int(request.query["left"])
        if left == 0:
            return await picture(request)
        return web.Response(status=302, headers={"Location": f"?left={left - 1}"})

    async with file_server(count_down) as server:
        assert content(await fetcher(server.origin).fetch(f"{server.origin}/x?left=5")) == DATA
        with pytest.raises(UnfetchableError, match="too often"):
            await fetcher(server.origin).fetch(f"{server.origin}/x?left=6")


async def test_the_key_goes_to_the_gateways_origin_only_and_never_comes_back_from_elsewhere() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{gateway.origin}/public"})

    async def own(request: web.Request) -> web.StreamResponse:
        to = {"/content": "/moved", "/moved": f"{other.origin}/x"}.get(request.path)
        return web.Response(status=302, headers={"Location": to}) if to else await picture(request)

    async with file_server(own) as gateway, file_server(elsewhere) as other:
        getting = fetcher(gateway.origin, other.origin, gateway=gateway.origin)
        assert content(await getting.fetch(f"{gateway.origin}/content", needs_key=True)) == DATA
        assert [request.headers.get("Authorization") for request in gateway.requests] == [
            "Bearer secret-key",
            "Bearer secret-key",
            None,
        ]
        assert [request.headers.get("Authorization") for request in other.requests] == [None]
        content(await getting.fetch(f"{gateway.origin}/public"))
        assert "Authorization" not in gateway.requests[-1].headers
        with pytest.raises(UnfetchableError):  # what is asked with the key is trusted so far only
            await fetcher(gateway=gateway.origin).fetch(f"{gateway.origin}/public")
        content(await fetcher(gateway=gateway.origin).fetch(f"{gateway.origin}/public", needs_key=True))
        with pytest.raises(UnfetchableError):
            await fetcher(gateway=gateway.origin).fetch(f"{other.origin}/x", needs_key=True)


async def test_an_endless_body_is_cut_at_the_limit_whatever_was_announced() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * len(DATA):
            await response.write(DATA)
            sent += len(DATA)
        return response

    async with file_server(endless) as server:
        with pytest.raises(TooLargeError):
            await fetcher(server.origin).fetch(server.origin)
    assert sent < 50 * len(DATA)


async def test_what_is_announced_as_too_large_is_not_read() -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(LIMITS.max_bytes + 1)})
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    async with file_server(large) as server:
        with pytest.raises(TooLargeError):
            await fetcher(server.origin).fetch(server.origin)


def only(**limits: float) -> FetchLimits:
    return FetchLimits(**({"max_bytes": LIMITS.max_bytes, "total_s": 10.0} | limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [only(total_s=0.3), only(idle_s=0.3), only(first_byte_s=0.3)])
async def test_a_server_that_does_not_go_on_is_left(limits: FetchLimits) -> None:
    async def stuck(request: web.Request) -> web.StreamResponse:
        if limits.first_byte_s > 1:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
        await asyncio.sleep(30)
        return web.Response()

    async with file_server(stuck) as server:
        async with asyncio.timeout(5):
            with pytest.raises(FetchInterruptedError):
                await fetcher(server.origin, limits=limits).fetch(server.origin)


async def test_a_server_that_trickles_is_left_when_the_whole_time_is_up() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async with file_server(trickle) as server:
        async with asyncio.timeout(5):
            with pytest.raises(FetchInterruptedError, match="in time"):
                await fetcher(server.origin, limits=only(total_s=0.5, idle_s=0.3)).fetch(server.origin)


async def test_a_body_that_breaks_off_is_fetched_again_not_kept() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 500)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with file_server(broken) as server:
        with pytest.raises(FetchInterruptedError):
            await fetcher(server.origin).fetch(server.origin)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206, 304, 300])
async def test_an_answer_that_will_not_change_is_final(status: int) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with file_server(refuse) as server:
        with pytest.raises(UnfetchableError, match=f"HTTP {status}"):
            await fetcher(server.origin).fetch(server.origin)


@pytest.mark.parametrize(
    ("status", "after", "wait_s"), [(429, "7", 7.0), (503, None, None), (408, "x", None)]
)
async def test_an_answer_that_may_change_says_when_to_come_again(
    status: int, after: str | None, wait_s: float | None
) -> None:
    async def busy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": after} if after else {})

    async with file_server(busy) as server:
        with pytest.raises(FetchInterruptedError) as interrupted:
            await fetcher(server.origin).fetch(server.origin)
    assert interrupted.value.retry_after_s == wait_s


async def test_a_compressed_body_is_refused() -> None:
    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    async with file_server(bomb) as server:
        with pytest.raises(UnfetchableError, match="not asked for"):
            await fetcher(server.origin).fetch(server.origin)


async def secure(server: FileServer, host: str, context: ssl.SSLContext | None) -> Spool:
    url = server.named(host)
    return await fetcher(url, ssl_context=context).fetch(url)


async def test_the_certificate_is_checked_against_the_name_not_the_address() -> None:
    async with file_server(picture, secure=True) as server:
        assert content(await secure(server, "media.test", trusting())) == DATA
        for host, context in (("other.test", trusting()), ("127.0.0.1", trusting()), ("media.test", None)):
            with pytest.raises(UnfetchableError, match="certificate"):
                await secure(server, host, context)
    assert len(server.requests) == 1


async def test_a_name_nobody_knows_is_final_and_a_resolver_that_is_away_is_not() -> None:
    class Failing(Names):
        def __init__(self, number: int) -> None:
            super().__init__([])
            self.number = number

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
            raise socket.gaierror(self.number, "no")

    with pytest.raises(UnfetchableError, match="does not exist"):
        await fetcher(names=Failing(socket.EAI_NONAME)).fetch("https://nobody.test/")
    with pytest.raises(FetchInterruptedError):
        await fetcher(names=Failing(socket.EAI_AGAIN)).fetch("https://nobody.test/")


async def test_a_server_that_is_away_is_tried_again_and_no_error_names_the_url() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(FetchInterruptedError) as interrupted:
            await fetcher(origin).fetch(f"{origin}/x?signature=abc")
    assert "127.0.0.1" not in str(interrupted.value)
    assert interrupted.value.__cause__ is None
    assert interrupted.value.__suppress_context__


def test_retry_after_is_read_in_both_forms() -> None:
    assert asked_wait_s("120", 0) == 120
    assert asked_wait_s("Thu, 01 Jan 1970 00:01:40 GMT", 40) == 60
    assert asked_wait_s("Thu, 01 Jan 1970 00:00:00 GMT", 40) == 0
    assert [asked_wait_s(text, 0) for text in (None, "", "soon", "-1", "١")] == [None] * 5


@pytest.mark.parametrize("allow", ["localhost:8089", "http://a:99999", "https://user@host", "http://a b"])
def test_a_list_of_origins_that_cannot_be_used_is_one_sentence(allow: str) -> None:
    with pytest.raises(SettingsError, match=r"MEDIA_FETCH_ALLOW .*\.$"):
        MediaFetcher.from_settings(load_settings(_env_file=None, media_fetch_allow=allow))
