"""Exports and entity tags over real HTTP: every format with the media's real files, and nothing sent twice."""

from __future__ import annotations

import io
import json
import zipfile

import httpx
import msgspec
import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.streams.command_events import command_event
from tests.integration.test_api_media import MODEL, PICTURE, staged
from tests.support.api_server import api_server

pytestmark = [pytest.mark.stack]

TITLE = 'Blå "squares"/..\r\nX-Evil: 1 \u202egpj.exe'


async def test_a_conversation_is_saved_in_every_format_and_asked_for_again_costs_nothing(
    prepared: Settings,
) -> None:
    async with staged(prepared) as stage:
        await stage.stored("m1")
        await stage.stored("m2", data=None)  # told of, and not in the bucket
        later = msgspec.structs.replace(stage.script.command, command_id="rename")
        await stage.wire.write(command_event(later, 1000, events.ConversationRenamed(title=TITLE)))
        await stage.ended()
        export = f"{stage.conversation}/export"
        origin = str(stage.api.base_url).rstrip("/")

        told = await stage.api.get(export)
        assert (told.status_code, told.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
        assert f"![Generated image]({origin}/api/media/m1/content)" in told.text
        assert f"## Response from {MODEL}\n\nHere.\n" in told.text
        for form in ("md", "json", "html"):
            for media in ("linked", "none", "bundled"):
                answer = await stage.api.get(export, params={"format": form, "media": media})
                assert answer.status_code == 200
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "x-evil" not in answer.headers
                ending = "zip" if media == "bundled" else form
                name = answer.headers["content-disposition"]
                assert name.startswith(f'attachment; filename="Bl squares .. X-Evil 1 gpj.exe.{ending}"; ')
                assert ("sandbox" in answer.headers.get("content-security-policy", "")) is (ending != "zip")
                if ending != "zip":
                    assert "X-Amz" not in answer.text
                    continue
                bundle = zipfile.ZipFile(io.BytesIO(answer.content))
                files = ["assets/sim-painter/01-01.png", f"conversation.{form}"]
                assert bundle.namelist() == files
                assert bundle.read(files[0]) == PICTURE
                document = bundle.read(files[1]).decode()
                assert files[0] in document
                assert "not in the storage any more" in document
        linked = (await stage.api.get(export, params={"format": "json"})).json()
        (answer_,) = linked["turns"][0]["answers"]
        assert [one["file"] for one in answer_["media"]] == [
            f"{origin}/api/media/{name}/content" for name in ("m1", "m2")
        ]
        assert (answer_["media"][0]["size_bytes"], answer_["cost_usd_micros"]) == (len(PICTURE), 1500)
        for wrong in ({"format": "pdf"}, {"media": "all"}):
            assert (await stage.api.get(export, params=wrong)).status_code == 422
        assert (await stage.api.get("/api/conversations/nobodys/export")).status_code == 404
        await _asked_again(stage.api, prepared, stage.conversation)


async def _asked_again(client: httpx.AsyncClient, settings: Settings, conversation: str) -> None:
    """On either process: the same tag, 304 for who has it, and gzip but for streams and files."""
    addresses = [
        conversation,
        "/api/conversations",
        "/api/media",
        "/api/media/m1",
        "/api/stats/models",
        "/api/usage",
    ]
    async with api_server(settings) as other:
        for address in addresses:
            first = await client.get(address, headers={"Accept-Encoding": "gzip"})
            assert first.headers["etag"].startswith('W/"'), address
            assert first.headers["cache-control"] == "private, no-cache"
            compressed = first.headers.get("content-encoding") == "gzip"
            assert compressed is (len(first.content) >= 1024), address
            for server in (client, other):
                again = await server.get(address, headers={"If-None-Match": first.headers["etag"]})
                assert (again.status_code, again.content) == (304, b""), address
                assert again.headers["etag"] == first.headers["etag"]
        async with client.stream(
            "GET", f"{conversation}/events", headers={"Accept-Encoding": "gzip"}
        ) as stream:
            assert "content-encoding" not in stream.headers
            assert "etag" not in stream.headers
            async for piece in stream.aiter_raw():
                assert piece.startswith((b"retry:", b"id:"))
                break
        for file in (f"{conversation}/media.zip", f"{conversation}/export?format=json"):
            answer = await client.get(file, headers={"Accept-Encoding": "gzip"})
            assert "content-encoding" not in answer.headers
        foreign = await client.get("/api/media/m9", headers={"If-None-Match": "*"})
        assert foreign.status_code == 404, "a tag opens nothing"
        assert json.loads(foreign.content)["code"] == "not_found"
