"""Entity tags and compression: what is tagged, when a kept answer is too old, and that streams and files pass untouched."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from polylogue.api.caching import EntityTags, tag_of
from polylogue.api.compression import LEAST_BYTES, Compression, takes_gzip

PATH = "/api/conversations/c"
NOW = 1_000_000.0


class Served:
    """An application behind both, as the API has them; the clock and the answer are the test's."""

    def __init__(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.body, self.status, self.now = body, status, NOW
        self.headers = {"content-type": "application/json", "content-length": str(len(body))}
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.app = Compression(EntityTags(self._answer, url_life_s=400, clock=lambda: self.now))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})

    async def ask(self, path: str = PATH, method: str = "GET", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        asked = {"accept-encoding": "identity"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, headers=asked)


def body(**values: Any) -> bytes:
    return orjson.dumps({"title": "Squares"} | values)


async def test_what_a_client_has_is_not_sent_again() -> None:
    served = Served(body())
    first = await served.ask()
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    for asked in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await served.ask(if_none_match=asked)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert "content-length" not in again.headers
    assert (await served.ask(if_none_match='"other"')).status_code == 200
    served.body = body(title="Circles")
    assert (await served.ask(if_none_match=tag)).status_code == 200


async def test_another_signature_is_no_change_until_a_kept_one_grows_old() -> None:
    served = Served(body(url="https://b.example/k.png?X-Amz-Signature=1"))
    tag = (await served.ask()).headers["etag"]
    served.body = body(url="https://b.example/k.png?X-Amz-Signature=2&X-Amz-Date=3")
    assert (await served.ask(if_none_match=tag)).status_code == 304
    served.now += 100  # a quarter of the URLs' life
    assert (await served.ask(if_none_match=tag)).status_code == 200
    served.body = body(url="https://b.example/other.png?X-Amz-Signature=2")
    served.now -= 100
    assert (await served.ask(if_none_match=tag)).status_code == 200


async def test_an_answer_without_signed_addresses_never_grows_old() -> None:
    served = Served(body(url="https://cdn.example/k.png", content="/api/v1/media/m/content"))
    tag = (await served.ask()).headers["etag"]
    served.now += 1e6
    assert (await served.ask(if_none_match=tag)).status_code == 304


@given(st.text(), st.text())
def test_words_that_look_like_an_address_count_like_all_words(one: str, other: str) -> None:
    def told(text: str) -> bytes:
        return orjson.dumps({"content": f'"url":"https://b/k?{text}"'})

    assert (tag_of(told(one), 0) == tag_of(told(other), 0)) is (one == other)


@pytest.mark.parametrize(
    "served",
    [
        Served(body(), status=404),
        Served(body(), cache_control="no-store"),
        Served(body(), content_type="text/csv"),
        Served(body(), content_disposition="attachment"),
        Served(body(), status=206, content_range="bytes 0-1/2"),
    ],
)
async def test_what_is_not_to_be_kept_or_no_json_has_no_tag_and_is_not_compressed(served: Served) -> None:
    served.body = body(text="x" * 5000)
    served.headers["content-length"] = str(len(served.body))
    answer = await served.ask(if_none_match="*", accept_encoding="gzip")
    assert (answer.status_code, answer.content) == (served.status, served.body)
    assert "etag" not in answer.headers
    kept = served.headers.get("cache-control") == "no-store"
    assert ("content-encoding" in answer.headers) is kept, "what nobody keeps may still be compressed"


@pytest.mark.parametrize("size", [LEAST_BYTES - 100, 5000, 500_000])
async def test_long_json_is_compressed_for_whoever_takes_it(size: int) -> None:
    served = Served(body(text="word " * (size // 5)))
    answer = await served.ask(accept_encoding="br;q=0.5, gzip")
    assert answer.content == served.body
    assert ("content-encoding" in answer.headers) is (size >= LEAST_BYTES)
    assert "accept-encoding" in answer.headers["vary"].lower()
    plain = await served.ask()
    assert plain.headers["etag"] == answer.headers["etag"]
    assert "content-encoding" not in plain.headers
    again = await served.ask(accept_encoding="gzip", if_none_match=plain.headers["etag"])
    assert again.status_code == 304
    assert "content-encoding" not in again.headers


async def test_the_length_is_of_what_is_sent() -> None:
    served = Served(body(text="word " * 9000))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": PATH,
        "headers": [(b"accept-encoding", b"gzip")],
    }
    await served.app(scope, _nothing, send)
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert gzip.decompress(sent[1]["body"]) == served.body


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/conversations/c/events", "text/event-stream"),
        ("/api/v1/compare-stream/c", "text/event-stream"),
        ("/api/streams/me", "text/event-stream"),
        ("/api/conversations/c/media.zip", "application/zip"),
        ("/api/media/m/content", "video/mp4"),
        ("/api/conversations/c/export", "application/json"),
    ],
)
async def test_each_message_of_a_stream_or_file_goes_out_before_the_next_is_made(
    path: str, kind: str
) -> None:
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"content-type", kind.encode()), (b"content-disposition", b"attachment")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for number in range(3):
            assert len(sent) == number + 1
            await send({"type": "http.response.body", "body": b"data: {}\n\n" * 500, "more_body": True})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"accept-encoding", b"gzip")]}
    await Compression(EntityTags(stream, url_life_s=400))(scope, _nothing, send)
    assert [one.get("body") for one in sent[1:]] == [b"data: {}\n\n" * 500] * 3
    assert b"content-encoding" not in dict(sent[0]["headers"])


async def test_json_that_comes_in_pieces_is_passed_on_as_it_comes() -> None:
    async def pieces(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"[1,", "more_body": True})
        await send({"type": "http.response.body", "body": b"2]"})

    transport = httpx.ASGITransport(app=Compression(EntityTags(pieces, url_life_s=400)))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get(PATH)).json() == [1, 2]


async def test_writes_are_neither_tagged_nor_compressed() -> None:
    answer = await Served(body(text="x" * 5000)).ask(method="POST", accept_encoding="gzip")
    assert "etag" not in answer.headers
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True),
        ("deflate, x-gzip;q=0.2", True),
        ("*", True),
        ("GZIP", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip;q=1", True),
        ("br, deflate", False),
    ],
)
def test_gzip_is_for_whoever_says_so(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) is taken


async def _nothing() -> Message:
    raise AssertionError("nobody reads a body here")
