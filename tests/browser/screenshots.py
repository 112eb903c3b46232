"""Takes the screenshots of docs/user-guide.md from a running system: `make screenshots`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, PATIENCE_MS, chromium_program
from tests.browser.steps import answer, ask, wait_for

ROOT = Path(__file__).parents[2]
WHERE = ROOT / "docs" / "screenshots"
MODELS = ("sim/text", "sim/painter", "sim/speaker")


def take(page: Page, directory: Path) -> None:
    """Every picture of the guide, in its order."""

    def shoot(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=directory / f"{name}.png")
        print(directory / f"{name}.png")

    page.goto("/")
    expect(page.get_by_role("button", name=re.compile("^Text and a picture"))).to_be_visible()
    shoot("first-visit")
    ask(page, "Draw a blue square, describe it and read the description aloud", *MODELS)
    for model in MODELS:
        wait_for(answer(page, model), "finished")
    expect(answer(page, "sim/painter").get_by_role("img").first).to_be_visible()
    shoot("compare")
    answer(page, "sim/painter").get_by_role("button", name=re.compile("^Enlarge")).first.click()
    shoot("enlarged")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export", exact=True).click()
    shoot("export")
    page.keyboard.press("Escape")
    for name in ("gallery", "usage", "settings"):
        page.goto(f"/{name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        shoot(name)
    page.goto("/search?q=square")
    expect(page.locator(".hits li").first).to_be_visible()
    shoot("search")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", default="http://127.0.0.1:8000", help="where `make run` serves")
    arguments.add_argument("--to", type=Path, default=WHERE)
    chosen = arguments.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=CHROMIUM_FLAGS)
        page = browser.new_page(base_url=chosen.url, viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        take(page, chosen.to)
        browser.close()


if __name__ == "__main__":
    main()
