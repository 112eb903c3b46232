"""What is hidden in a stored file stays a stowaway: a real browser runs none of it, however the file is opened."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from polylogue.infra.settings import Settings
from tests.integration.test_api_media import staged
from tests.support.media_samples import encoded

PATIENCE_S = 60
MARK = "the stowaway has run"
SCRIPT = f"document.documentElement.dataset.mark='{MARK}'".encode()

pytestmark = pytest.mark.stack


def gif_that_is_a_script() -> bytes:
    """Its header reads as an assignment to a variable, whose value is a comment that holds the whole picture."""
    picture = bytearray(encoded("GIF"))
    picture[6:8] = b"/*"  # a width of 10,799, which is no matter to a browser that takes it for a script
    return bytes(picture) + b"*/=1;" + SCRIPT


SCRIPT_FILE = gif_that_is_a_script()
PAGE_FILE = b"<!doctype html><script>" + SCRIPT + b"</script>" + encoded("PNG")


async def document_of(url: str, profile: Path) -> str:
    """The page as it is after its scripts have run."""
    program = shutil.which("chromium")
    assert program is not None, "Chromium is missing; run: apt-get install chromium"
    browser = await asyncio.create_subprocess_exec(
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--virtual-time-budget=2000",
        f"--user-data-dir={profile}",
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(browser.communicate(), PATIENCE_S)
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    return output.decode(errors="replace")


@asynccontextmanager
async def site(**files: tuple[bytes, str]) -> AsyncIterator[str]:
    """Somebody else's, on a port of this machine: bytes and type by name."""

    async def answer(request: web.Request) -> web.Response:
        body, content_type = files[request.match_info["name"]]
        return web.Response(body=body, content_type=content_type)

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def page_with(script_url: str) -> tuple[bytes, str]:
    return f"<html><script src='{script_url}'></script><p>the end</p></html>".encode(), "text/html"


async def test_a_script_in_a_stored_file_never_runs_in_a_browser(prepared: Settings, tmp_path: Path) -> None:
    async with staged(prepared.model_copy(update={"media_proxy": True})) as stage:
        await stage.stored("page", PAGE_FILE, len(PAGE_FILE))
        await stage.stored("script", SCRIPT_FILE, len(SCRIPT_FILE))
        await stage.ended()
        media = f"{stage.api.base_url}/api/media"
        opened = await document_of(f"{media}/page/content", tmp_path)
        async with site(page=page_with(f"{media}/script/content")) as other:
            used = await document_of(f"{other}/page", tmp_path)
    assert "<html" in opened
    assert "the end" in used
    assert "data-mark" not in opened + used


async def test_it_would_run_if_it_came_as_what_it_claims_to_be(tmp_path: Path) -> None:
    script = SCRIPT_FILE, "text/javascript"
    async with site(page=page_with("/script"), script=script) as other:
        assert f'data-mark="{MARK}"' in await document_of(f"{other}/page", tmp_path)
