"""An exported page, opened from a folder as its reader does: it shows its pictures, runs nothing and asks nobody."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import cast

from PIL import Image
from playwright.sync_api import Browser

from polylogue.api.export import bundle
from polylogue.infra.settings import Settings
from polylogue.media.reading import ObjectReader
from tests.unit.api.test_export import HEAD, HOSTILE, answer, medium, turn, wanted
from tests.unit.api.test_zip import Reader

MARK = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"


def test_a_bundle_shows_its_pictures_and_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (8, 6), "blue").save(drawn, "PNG")
    picture = medium(width=8, height=6, size_bytes=len(drawn.getvalue()))
    shown = [
        turn(answer(text, text, media_urls=[picture], reasoning=text), prompt=text, system=text)
        for text in (*HOSTILE, MARK)
    ]
    reader = cast("ObjectReader", Reader({picture["key"]: drawn.getvalue()}))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    made = b"".join(bundle(reader, HEAD | {"title": MARK}, shown, wanted("html", "bundled"), settings))
    zipfile.ZipFile(io.BytesIO(made)).extractall(tmp_path)

    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto((tmp_path / "conversation.html").as_uri())
    page.locator("figure img").first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('figure img').naturalWidth === 8")
    assert page.title() == MARK
    assert said == []
    assert {url.partition(":")[0] for url in asked} == {"file"}
    assert page.evaluate("getComputedStyle(document.querySelector('article')).borderRadius") == "8px"
    page.close()
