"""The web UI is served with a strict policy, and no address of the API becomes a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from polylogue.api.web_ui import WebUi, built_ui, content_security_policy
from polylogue.infra.settings import Settings


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>UI</title>", encoding="utf-8")
    (tmp_path / "assets" / "index-1a2b.js").write_text("export {}", encoding="utf-8")
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
