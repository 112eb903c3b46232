"""The web UI is served with a strict policy, and no address of the API becomes a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from polylogue.api.web_ui import WebUi, built_ui, content_security_policy
from polylogue.infra.settings import Settings

LONG = "export const words = 'many of them';\n" * 200


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>UI</title>", encoding="utf-8")
    (tmp_path / "assets" / "index-1a2b.js").write_text("export {}", encoding="utf-8")
    (tmp_path / "assets" / "long-1a2b.js").write_text(LONG, encoding="utf-8")
    (tmp_path / "assets" / "letters.woff2").write_bytes(LONG.encode())
    return tmp_path


@pytest.fixture
def browser(ui: Path) -> TestClient:
    app = FastAPI()
    app.mount("/", WebUi(ui, Settings(_env_file=None)))
    return TestClient(app)


@pytest.mark.parametrize("address", ["/", "/conversations/1", "/gallery"])
def test_every_page_of_the_ui_is_the_one_document(browser: TestClient, address: str) -> None:
    answer = browser.get(address)
    assert answer.status_code == 200
    assert "<title>UI</title>" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


def test_what_is_named_by_its_hash_is_kept_for_ever(browser: TestClient) -> None:
    assert "immutable" in browser.get("/assets/index-1a2b.js").headers["cache-control"]


def test_scripts_are_compressed_for_whoever_takes_it_and_fonts_are_not(browser: TestClient) -> None:
    script = "/assets/long-1a2b.js"
    small = browser.get(script, headers={"Accept-Encoding": "br, gzip"})
    plain = browser.get(script, headers={"Accept-Encoding": "identity"})
    assert small.text == plain.text == LONG
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(LONG) / 10
    assert "content-encoding" not in plain.headers
    for answer in (small, plain):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "immutable" in answer.headers["cache-control"]
        kept = browser.get(script, headers={"If-None-Match": answer.headers["etag"]})
        assert (kept.status_code, kept.content) == (304, b"")
    assert small.headers["etag"] != plain.headers["etag"]
    head = browser.head(script, headers={"Accept-Encoding": "gzip"})
    assert head.headers["content-length"] == small.headers["content-length"]
    part = browser.get(script, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-5"})
    assert (part.status_code, part.text) == (206, "export")
    for whole in ("/assets/letters.woff2", "/assets/index-1a2b.js"):
        assert "content-encoding" not in browser.get(whole, headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize("address", ["/assets/gone.js", "/api/v1/nothing", "/v1/nothing"])
def test_a_missing_asset_or_route_is_no_page(browser: TestClient, address: str) -> None:
    assert browser.get(address).status_code == 404


def test_the_policy_allows_the_cdn_and_the_bucket_and_no_inline_script() -> None:
    settings = Settings(
        _env_file=None, cloudfront_domain="media.example.com", s3_endpoint_url="http://127.0.0.1:9000"
    )
    policy = dict(part.split(" ", 1) for part in content_security_policy(settings).split("; "))
    assert policy["img-src"] == "'self' blob: http://127.0.0.1:9000 https://media.example.com"
    assert policy["media-src"] == policy["img-src"]
    assert policy["script-src"] == "'self'"


def test_a_named_folder_without_a_build_is_no_ui(tmp_path: Path) -> None:
    assert built_ui(Settings(_env_file=None, web_dir=tmp_path)) is None
