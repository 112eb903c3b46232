"""One stream a browser, however many tabs; a turn goes on exactly through a lost network and in whichever tab looks at it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.steps import answer, ask, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

TABS = 8  # more than the six connections that a browser opens to one server


def streams(whole: Address) -> int:
    """How many streams the API serves now."""
    found = re.search(
        r"^polylogue_api_subscribers(?:\{[^}]*\})? ([0-9.]+)$", whole.text("/metrics"), re.MULTILINE
    )
    assert found is not None
    return int(float(found[1]))


def test_eight_tabs_of_one_conversation_share_one_stream(context: BrowserContext, whole: Address) -> None:
    first = context.new_page()
    before = streams(whole)
    ask(first, "Say something slowly", "sim/slow")
    others = [context.new_page() for _ in range(TABS - 1)]
    for page in others:
        page.goto(first.url)
    for page in (first, *others):
        expect(answer(page, "sim/slow").locator(".markdown")).not_to_be_empty()
        expect(answer(page, "sim/slow")).to_have_attribute("data-phase", "answering")
    assert streams(whole) - before == 1
    # The tab that reads for all is closed in mid-stream: the next one goes on.
    first.close()
    for page in others:
        wait_for(answer(page, "sim/slow"), "finished")
    said = {answer(page, "sim/slow").locator(".markdown").inner_text() for page in others}
    assert len(said) == 1
    others[0].reload()
    expect(answer(others[0], "sim/slow").locator(".markdown")).to_have_text(
        re.compile(re.escape(said.pop()[:60]))
    )


def test_eight_tabs_with_a_conversation_each_still_get_their_answers(context: BrowserContext) -> None:
    pages = [context.new_page() for _ in range(TABS)]
    for page in pages:
        ask(page, "Say something slowly", "sim/slow")
    # Requests still find a connection.
    assert pages[0].evaluate("() => fetch('/api/v1/models').then(answer => answer.status)") == 200
    for page in pages:
        wait_for(answer(page, "sim/slow"), "finished")


def test_a_turn_begun_in_one_tab_appears_in_the_other(context: BrowserContext) -> None:
    first, second = context.new_page(), context.new_page()
    ask(first, "First question", "sim/text")
    wait_for(answer(first, "sim/text"), "finished")
    second.goto(first.url)
    wait_for(answer(second, "sim/text"), "finished")
    first.get_by_role("textbox", name="Prompt", exact=True).fill("Second question")
    first.keyboard.press("Enter")
    for page in (first, second):
        expect(page.get_by_role("region", name="Turn")).to_have_count(2)
        wait_for(answer(page, "sim/text"), "finished")


def test_the_network_goes_and_comes_back_and_nothing_is_lost_or_doubled(page: Page) -> None:
    ask(page, "Say something slowly", "sim/slow")
    slow = answer(page, "sim/slow")
    expect(slow.locator(".markdown")).not_to_be_empty()
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("You are offline.")).to_be_hidden()
    wait_for(slow, "finished")
    said = slow.locator(".markdown").inner_text()
    page.reload()
    expect(answer(page, "sim/slow").locator(".markdown")).to_have_text(said, use_inner_text=True)


def test_a_slow_network_shows_words_as_they_come(page: Page) -> None:
    network = page.context.new_cdp_session(page)
    page.goto("/")
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000},
    )
    ask(page, "Say something slowly", "sim/slow")
    expect(answer(page, "sim/slow").locator(".markdown")).not_to_be_empty()
    expect(answer(page, "sim/slow")).to_have_attribute("data-phase", "answering")
    wait_for(answer(page, "sim/slow"), "finished")
