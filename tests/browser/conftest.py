"""One whole system and one real browser for the tests of the web UI; every test gets a profile of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.whole_run import STOP_S, Address, polylogue, start

ROOT = Path(__file__).parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
PATIENCE_MS = 60_000  # a loaded machine of two cores


@pytest.fixture(scope="package")
def whole() -> Iterator[Address]:
    """Everything that `make run` starts, the built UI included, with simulated models, until the last of these tests.
    `WHOLE_RUN_URL` names one that runs already, for who works on the UI."""
    if running := os.environ.get("WHOLE_RUN_URL"):
        yield Address(running)
        return
    assert (ROOT / "web" / "dist" / "index.html").is_file(), "The web UI is not built; run: make web"
    with TemporaryDirectory(prefix="polylogue-browser-", ignore_cleanup_errors=True) as directory:
        data_dir = Path(directory) / "data"
        run = None
        try:
            run = start(data_dir)
            yield run
        finally:
            polylogue("stack", "down", "--data-dir", str(data_dir), cwd=Path(directory))
            if run is not None:
                run.process.wait(STOP_S)


def chromium_program() -> str:
    program = shutil.which("chromium")
    assert program is not None, "Chromium is missing; run: apt-get install chromium"
    return program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with its module: while Playwright runs, no test of another folder can run a loop of its own."""
    program = chromium_program()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser, whole: Address) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=whole.url, viewport={"width": 1400, "height": 900})
    made.set_default_timeout(PATIENCE_MS)
    made.grant_permissions(["clipboard-read", "clipboard-write"])
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose errors fail the test: a thrown exception, and whatever the content security policy refused."""
    made = context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield made
    assert problems == []
