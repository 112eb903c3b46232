"""What models and users write never becomes a script, a style, or a request, however it is put."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request

from tests.browser.steps import answer, ask, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# The simulated text model quotes the prompt in its answer, so each line is shown as a prompt and as an answer.
CORPUS = [
    "<script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 1">',
    '<svg onload="window.hacked = 1"><animate onbegin=window.hacked=1 attributeName=x>',
    "[press](javascript:window.hacked=1)",
    "[press](java\nscript:window.hacked=1)",
    "[press](data:text/html;base64,PHNjcmlwdD53aW5kb3cuaGFja2VkPTE8L3NjcmlwdD4=)",
    "![spy](https://spy.example/pixel.png)",
    '<https://example.com/"onmouseover=window.hacked=1>',
    "`</code><script>window.hacked = 1</script>`",
    "$\\href{javascript:window.hacked=1}{x}$ $\\htmlData{onclick=window.hacked=1}{y}$",
    "$$\\includegraphics{https://spy.example/pixel.png}$$",
    "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>",
    "<style>@import 'https://spy.example/x.css';</style>",
    "<a href='jAvAsCrIpT:window.hacked=1'>x</a>",
    "<form action=https://spy.example><button>Send</button></form>",
    "<base href=https://spy.example/>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hacked=1>",
]


def test_nothing_that_is_written_runs_or_asks_for_anything(page: Page, whole: Address) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((whole.url, "blob:", "data:")):
            asked.append(request.url)

    page.on("request", note)
    ask(page, "\n\n".join(CORPUS), "sim/text")
    wait_for(answer(page, "sim/text"), "finished")
    page.reload()
    wait_for(answer(page, "sim/text"), "finished")
    body = answer(page, "sim/text").locator(".message")
    for link in body.get_by_role("link").all():
        address = link.get_attribute("href") or ""
        assert address.startswith(("https://", "http://", "mailto:")), address
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    assert (
        body.locator("script, iframe, style, form, base, object, embed, svg:not(.katex *), img").count() == 0
    )
    assert page.evaluate("() => window.hacked") is None
    assert asked == []
