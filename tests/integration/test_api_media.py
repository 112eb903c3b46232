"""The files of media: where they are, their bytes in ranges, what is said of those that are not there, and all as a zip."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from polylogue.api import byte_stream
from polylogue.infra.postgres import connection_string
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.reading import ObjectReader
from polylogue.schemas import events
from polylogue.schemas.base import Payload
from polylogue.schemas.envelope import Event
from tests.support.api_server import POST, api_server, code
from tests.support.script import Script, Wire
from tests.support.sse_client import frames
from tests.support.tables import caught_up, projector

MODEL = "sim/painter"
PICTURE = bytes(range(256)) * 8  # 2 KiB
THUMBNAIL = b"a thumbnail"

pytestmark = [pytest.mark.stack]


@dataclass
class Stage:
    """An API process and a projector; runner, agent and storage are played by the test."""

    settings: Settings
    api: httpx.AsyncClient
    wire: Wire
    script: Script = field(init=False)

    async def begin(self) -> None:
        body = {"input_data": "Draw", "models": [MODEL]}
        async with frames(self.api, "POST", POST, json=body) as stream:
            self.script = await self.wire.script()
            await self.wire.write(*self.script.opening())
            await stream.until("start")

    @property
    def conversation(self) -> str:
        return f"/api/conversations/{self.script.command.conversation_id}"

    @property
    def response_id(self) -> str:
        return self.script.start.responses[0].response_id

    def key(self, media_id: str, ending: str = "png") -> str:
        return f"media/image/{self.script.command.conversation_id}/sim%2Fpainter/20260101_{media_id}.{ending}"

    async def produced(self, media_id: str) -> None:
        await self.wire.write(self.script.produced(self.response_id, media_id))

    async def stored(self, media_id: str, data: bytes | None = PICTURE, size: int = len(PICTURE)) -> None:
        """A medium with a thumbnail; without `data` its object is missing."""
        await self.produced(media_id)
        said = self.script.stored(self.response_id, media_id)
        assert isinstance(said.data, events.MediaStored)
        thumbnail = events.Rendition(
            name="thumbnail",
            key=self.key(media_id, "thumbnail.webp"),
            content_type="image/webp",
            size_bytes=len(THUMBNAIL),
            width=4,
            height=3,
        )
        data_ = msgspec.structs.replace(said.data, size_bytes=size, renditions=(thumbnail,))
        await self.wire.write(msgspec.structs.replace(said, data=data_))
        if data is not None:
            await asyncio.to_thread(self.put, self.key(media_id), data, "image/png")
            await asyncio.to_thread(self.put, thumbnail.key, THUMBNAIL, "image/webp")

    async def said(self, media_id: str, data: Payload) -> None:
        """What the agent says of a medium."""
        stored = self.script.stored(self.response_id, media_id)
        event: Event = msgspec.structs.replace(
            stored, data=data, event_id=f"{media_id}.{type(data).__name__}.0"
        )
        await self.wire.write(event)

    async def ended(self) -> None:
        await self.wire.write(*self.script.answer(self.response_id, "Here."))
        await caught_up(self.settings)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        client = create_s3_client(self.settings)
        try:
            client.put_object(
                Bucket=self.settings.s3_media_bucket, Key=key, Body=data, ContentType=content_type
            )
        finally:
            client.close()


@asynccontextmanager
async def staged(settings: Settings) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(projector(settings))
        api = await stack.enter_async_context(api_server(settings))
        stage = Stage(settings, api, await stack.enter_async_context(Wire(settings)))
        await stage.begin()
        yield stage


@pytest.fixture
async def stage(prepared: Settings) -> AsyncIterator[Stage]:
    async with staged(prepared) as running:
        yield running


@asynccontextmanager
async def proxy(settings: Settings, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with api_server(settings.model_copy(update={"media_proxy": True} | changes)) as client:
        yield client


async def test_a_medium_tells_all_of_itself_and_its_file_is_a_redirect_away(stage: Stage) -> None:
    await stage.stored("m1")
    await stage.ended()
    told = (await stage.api.get("/api/media/m1")).json()
    assert (told["type"], told["status"], told["message"], told["model_id"]) == (
        "image",
        "stored",
        None,
        MODEL,
    )
    assert (told["size_bytes"], told["content_type"], told["width"]) == (len(PICTURE), "image/png", 2)
    head = await stage.api.head("/api/media/m1")
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "application/json", b"")
    assert (await stage.api.head("/api/media/nobodys")).status_code == 404
    shown = (await stage.api.get(stage.conversation)).json()["turns"][0]["messages"][1]["media_urls"][0]
    async with httpx.AsyncClient(trust_env=False) as anybody:
        for medium in (told, shown):
            assert medium["content"] == "/api/v1/media/m1/content"
            assert (await anybody.get(medium["url"])).content == PICTURE
            (thumbnail,) = medium["renditions"]
            assert (await anybody.get(thumbnail["url"])).content == THUMBNAIL
        for rendition, expected in (("original", PICTURE), ("thumbnail", THUMBNAIL)):
            answer = await stage.api.get("/api/media/m1/content", params={"rendition": rendition})
            assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
            assert (await anybody.get(answer.headers["location"])).content == expected
            head = await stage.api.head("/api/media/m1/content", params={"rendition": rendition})
            assert (head.status_code, head.headers["location"]) == (302, answer.headers["location"])
    assert code(await stage.api.get("/api/media/m1/content?rendition=poster")) == (404, "no_rendition")
    assert (await stage.api.get("/api/media/m1/content?rendition=huge")).status_code == 422


async def test_switching_mode_or_domain_changes_what_an_old_conversation_returns(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await stage.stored("m1")
    await stage.ended()
    pem = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )
    cdn = {
        "media_url_mode": "cloudfront-signed",
        "cloudfront_domain": "d1.cloudfront.net",
        "cloudfront_key_pair_id": "K1",
        "cloudfront_private_key": SecretStr(pem),
    }
    seen: list[str] = []
    for changes, start in (
        ({"media_url_mode": "presigned"}, str(stage.settings.s3_endpoint_url)),
        ({"media_url_mode": "public"}, str(stage.settings.s3_endpoint_url)),
        ({"media_url_mode": "public", "cloudfront_domain": "cdn.example.org"}, "https://cdn.example.org/"),
        (cdn, "https://d1.cloudfront.net/"),
        (cdn | {"cloudfront_domain": "d2.cloudfront.net"}, "https://d2.cloudfront.net/"),
    ):
        async with api_server(stage.settings.model_copy(update=changes)) as client:
            turn = (await client.get(stage.conversation)).json()["turns"][0]
            (medium,) = turn["messages"][1]["media_urls"]
            again = (await client.get("/api/media/m1")).json()
            content = await client.get("/api/media/m1/content")
        urls = [medium["url"], medium["renditions"][0]["url"]]
        assert all(url.startswith(start) for url in urls), urls
        # Signed once, and the same everywhere until half of its life is over.
        assert [again["url"], content.headers["location"]] == [medium["url"]] * 2
        seen += urls
    assert len(set(seen)) == len(seen)
    async with await psycopg.AsyncConnection.connect(connection_string(stage.settings)) as database:
        for table in (
            "conversation_messages",
            "conversation_message_media",
            "media_objects",
            "gallery_items",
        ):
            rows = await (await database.execute(f"SELECT t::text FROM {table} AS t")).fetchall()
            assert rows
            assert not any("Signature" in row[0] for row in rows)
    logged = caplog.text + "".join(capsys.readouterr())
    assert "Signature" not in logged
    assert "PRIVATE" not in logged

    broken = stage.settings.model_copy(update=cdn | {"cloudfront_private_key": SecretStr("none")})
    with pytest.raises(SettingsError, match=r"^CLOUDFRONT_PRIVATE_KEY is not"):
        async with api_server(broken):
            pass


async def test_a_proxied_file_is_given_whole_or_in_parts_and_its_head_says_the_same(stage: Stage) -> None:
    await stage.stored("m1")
    await stage.ended()
    url = "/api/media/m1/content"
    async with proxy(stage.settings) as client:
        whole = await client.get(url)
        assert (whole.status_code, whole.content) == (200, PICTURE)
        told = whole.headers
        assert (told["content-type"], told["content-length"]) == ("image/png", str(len(PICTURE)))
        assert (told["accept-ranges"], told["x-content-type-options"]) == ("bytes", "nosniff")
        assert "sandbox" in told["content-security-policy"]
        assert told["content-disposition"] == 'inline; filename="m1.png"'
        etag = told["etag"]

        async def part(**headers: str) -> tuple[int, bytes, str | None]:
            answer = await client.get(
                url, headers={name.replace("_", "-"): one for name, one in headers.items()}
            )
            assert answer.status_code == 304 or answer.headers["content-length"] == str(len(answer.content))
            return answer.status_code, answer.content, answer.headers.get("content-range")

        size = len(PICTURE)
        assert await part(range="bytes=0-9") == (206, PICTURE[:10], f"bytes 0-9/{size}")
        assert await part(range="bytes=2000-") == (206, PICTURE[2000:], f"bytes 2000-{size - 1}/{size}")
        assert await part(range="bytes=-5") == (206, PICTURE[-5:], f"bytes {size - 5}-{size - 1}/{size}")
        assert await part(range="bytes=0-1,5-6") == (200, PICTURE, None)
        assert await part(range="bytes=5-6", if_range=etag) == (206, PICTURE[5:7], f"bytes 5-6/{size}")
        assert await part(range="bytes=5-6", if_range='"other"') == (200, PICTURE, None)
        assert await part(if_none_match=etag) == (304, b"", None)
        assert await part(range=f"bytes={size}-") == (416, b"", f"bytes */{size}")

        head = await client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        names = ("content-length", "content-type", "etag", "accept-ranges")
        assert [head.headers[name] for name in names] == [told[name] for name in names]
        some = await client.head(url, headers={"Range": "bytes=0-9"})
        assert (some.status_code, some.headers["content-range"]) == (206, f"bytes 0-9/{size}")
        thumbnail = await client.get(url, params={"rendition": "thumbnail"})
        assert (thumbnail.content, thumbnail.headers["content-type"]) == (THUMBNAIL, "image/webp")
        assert thumbnail.headers["etag"] != etag


async def test_what_is_not_there_says_why_and_since_when(stage: Stage) -> None:
    for media_id in ("expired", "deleted", "missing"):
        await stage.stored(media_id, data=None)
    for media_id in ("waiting", "rejected", "failed"):
        await stage.produced(media_id)
    await stage.said("expired", events.MediaExpired(media_id="expired", media_type="image"))
    await stage.said("deleted", events.MediaDeleted(media_id="deleted", media_type="image"))
    rejected = events.MediaRejected(
        media_id="rejected", media_type="image", reason="undecodable", message="It cannot be decoded."
    )
    await stage.said("rejected", rejected)
    failed = events.MediaFailed(
        media_id="failed", media_type="image", reason="storage_unavailable", message="S3 was away."
    )
    await stage.said("failed", failed)
    await stage.ended()
    expected = {
        "expired": (410, "media_expired", "lifecycle"),
        "deleted": (410, "media_deleted", "user"),
        "waiting": (409, "media_not_ready", None),
        "rejected": (409, "media_not_stored", "undecodable"),
        "failed": (409, "media_not_stored", "storage_unavailable"),
    }
    async with proxy(stage.settings) as proxied:
        for client in (stage.api, proxied):
            for media_id, (status, slug, reason) in expected.items():
                answer = await client.get(f"/api/media/{media_id}/content")
                assert (*code(answer), answer.json()["reason"]) == (status, slug, reason)
                told = (await client.get(f"/api/media/{media_id}")).json()
                assert told["message"]
                assert told["message"] in answer.json()["detail"]
                assert told["url"] is None
                if status == 410:
                    assert answer.json()["at"] == told["updated_at"]
                    assert told["updated_at"][:10] in answer.json()["detail"]
                assert (await client.head(f"/api/media/{media_id}/content")).status_code == status
            assert code(await client.get("/api/media/nobodys/content")) == (404, "not_found")
            assert code(await client.get("/api/media/no%00body")) == (404, "not_found")
        assert code(await proxied.get("/api/media/missing/content")) == (410, "media_missing")
        assert (await proxied.head("/api/media/missing/content")).status_code == 410
    async with await psycopg.AsyncConnection.connect(connection_string(stage.settings)) as database:
        await database.execute("UPDATE media_objects SET owner_id = 'somebody'")
    for url in ("/api/media/expired", "/api/media/expired/content"):
        assert code(await stage.api.get(url)) == (404, "not_found")


async def test_a_client_that_leaves_stops_the_reading_and_gives_its_place_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 48 * 1024 * 1024
    await stage.stored("m1", bytes(size), size)
    await stage.ended()
    read, open_ = 0, 0
    pieces = ObjectReader.pieces

    def counted(self: ObjectReader, key: str, first: int, last: int) -> Generator[bytes]:
        nonlocal read, open_
        open_ += 1
        try:
            for piece in pieces(self, key, first, last):
                read += len(piece)
                yield piece
        finally:
            open_ -= 1

    monkeypatch.setattr(ObjectReader, "pieces", counted)
    monkeypatch.setattr(byte_stream, "SLOT_S", 0.05)
    urls = ("/api/media/m1/content", f"{stage.conversation}/media.zip")
    async with proxy(stage.settings, media_downloads_at_once=1) as client:
        for url in urls:
            read = 0
            async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as leaving:
                async with leaving.stream("GET", url) as stream:
                    assert stream.status_code == 200
                    received = stream.aiter_raw()
                    await anext(received)
                    for other in urls:
                        assert code(await client.get(other)) == (503, "too_many_downloads")
                    assert open_ == 1
            async with asyncio.timeout(30):
                while open_:
                    await asyncio.sleep(0.01)
            # What lies in the buffers of both sockets, and no more.
            assert read < size / 2
        monkeypatch.setattr(byte_stream, "SLOT_S", 30)
        last = await client.get(urls[0], headers={"Range": "bytes=-4"})
        assert (last.status_code, last.content) == (206, bytes(4))


async def test_all_media_of_a_conversation_and_its_parents_come_as_one_zip(stage: Stage) -> None:
    await stage.stored("m1")
    await stage.stored("m2", data=None)
    await stage.stored("m3", b"another one", 11)
    await stage.stored("m4", data=None)
    await stage.said("m4", events.MediaDeleted(media_id="m4", media_type="image"))
    await stage.ended()
    answer = await stage.api.get(f"{stage.conversation}/media.zip")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="conversation media.zip"'
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    assert found.namelist() == ["sim-painter/01-01.png", "sim-painter/01-03.png", "manifest.json"]
    assert found.read("sim-painter/01-01.png") == PICTURE
    assert found.read("sim-painter/01-03.png") == b"another one"
    manifest = json.loads(found.read("manifest.json"))
    assert [(one["media_id"], one["missing"]) for one in manifest["media"]] == [
        ("m1", None),
        ("m2", "not in the storage any more"),
        ("m3", None),
        ("m4", "deleted"),
    ]
    assert code(await stage.api.get("/api/conversations/nobodys/media.zip")) == (404, "not_found")
