"""Firefox too: the page loads, the simulator is asked, answers end with their media, and a reload finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.marionette import firefox
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

FINISHED = "document.querySelectorAll('article[data-phase=finished]').length === 2"
PAINTED = "[...document.querySelectorAll('article img')].some(one => one.complete && one.naturalWidth > 0)"


def test_firefox_asks_and_shows_what_was_made(whole: Address, tmp_path: Path) -> None:
    with firefox(tmp_path) as page:
        page.open(whole.url)
        # The first example asks for a text and a picture.
        page.wait("document.querySelector('.first-visit button:enabled') !== null")
        page.click(".first-visit button")
        page.wait("document.querySelector('[data-prompt]').value !== ''")
        page.wait("document.querySelectorAll('.chosen button[aria-label^=\"Leave out\"]').length === 2")
        page.write("[data-prompt]", " in Firefox\ue007")  # and the Enter key
        page.wait("location.pathname.startsWith('/c/')")
        page.wait(FINISHED)
        page.wait(PAINTED)
        said = page.value("document.querySelector('article .markdown').innerText")
        page.open(page.value("location.href"))
        page.wait(FINISHED)
        page.wait(PAINTED)
        assert page.value("document.querySelector('article .markdown').innerText") == said
