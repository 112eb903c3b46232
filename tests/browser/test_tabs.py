"""One stream a browser, however many tabs; a turn goes on exactly through a lost network and in whichever tab looks at it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.steps import answer, ask, begin, post, stop, wait_for
from tests.support.processes import wait_until
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

TABS = 8  # more than the six connections that a browser opens to one server
PATIENCE_S = 60.0


def streams(whole: Address) -> int:
    """How many streams the API serves now."""
    found = re.search(
        r"^polylogue_api_subscribers(?:\{[^}]*\})? ([0-9.]+)$", whole.text("/metrics"), re.MULTILINE
    )
    assert found is not None
    return int(float(found[1]))


def shown(page: Page) -> str:
    """All of it: what is out of sight is no part of the rendered text."""
    text = page.get_by_role("article").locator(".markdown").text_content() or ""
    return " ".join(text.split())


def said(whole: Address, conversation: str) -> str:
    """What is stored of the one answer of a conversation, once it has ended there too."""
    found: list[str] = []

    def stored() -> bool:
        [turn] = whole.get(f"/api/v1/conversations/{conversation}")["turns"]
        found[:] = [one["content"] for one in turn["messages"] if one["role"] == "assistant"]
        return bool(turn["finished"])

    wait_until(stored, "the answer in the tables", within_s=PATIENCE_S)
    return " ".join(found[0].split())


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
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
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


def test_eight_tabs_with_a_conversation_each_share_one_stream_too(
    context: BrowserContext, whole: Address
) -> None:
    """More turns than the browser opens connections, all of them running; stopped, every tab has all that was said."""
    begun = [begin(whole, "sim/slow:tokens=2000:pace=200ms") for _ in range(TABS)]
    before = streams(whole)
    pages = [context.new_page() for _ in begun]
    for page, conversation in zip(pages, begun, strict=True):
        page.goto(f"/c/{conversation}")
    for page in pages:
        expect(page.get_by_role("article").locator(".markdown")).not_to_be_empty()
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    # Requests still find a connection.
    assert pages[0].evaluate("() => fetch('/api/v1/models').then(answer => answer.status)") == 200
    # The tab that reads for all is closed: the next one goes on.
    pages.pop(0).close()
    heard = [len(shown(page)) for page in pages]
    wait_until(
        lambda: all(len(shown(page)) > had for page, had in zip(pages, heard, strict=True)),
        "more words in every tab",
        within_s=PATIENCE_S,
    )
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    for conversation in begun:
        stop(whole, conversation)
    for page in pages:
        wait_for(page.get_by_role("article"), "cancelled")
    for page, conversation in zip(pages, begun[1:], strict=True):
        assert shown(page) == said(whole, conversation)


def test_a_tab_that_the_browser_freezes_reads_for_the_others_no_more(
    context: BrowserContext, whole: Address
) -> None:
    begun = begin(whole, "sim/slow:tokens=2000:pace=200ms")
    first, second = context.new_page(), context.new_page()
    before = streams(whole)
    for page in (first, second):
        page.goto(f"/c/{begun}")
        expect(page.get_by_role("article").locator(".markdown")).not_to_be_empty()
    network = context.new_cdp_session(first)
    network.send("Page.setWebLifecycleState", {"state": "frozen"})
    had = len(shown(second))
    wait_until(lambda: len(shown(second)) > had + 20, "more words in the other tab", within_s=PATIENCE_S)
    network.send("Page.setWebLifecycleState", {"state": "active"})
    wait_until(lambda: len(shown(first)) > had + 20, "more words once it is awake", within_s=PATIENCE_S)
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    stop(whole, begun)
    for page in (first, second):
        wait_for(page.get_by_role("article"), "cancelled")
        assert shown(page) == said(whole, begun)


def test_a_tab_that_hangs_without_a_word_is_replaced_and_follows_once_it_goes_on(
    context: BrowserContext, whole: Address
) -> None:
    """No event tells it that it stands still, so it keeps the lock and its connection: the others ask, and steal it."""
    begun = begin(whole, "sim/slow:tokens=2000:pace=200ms")
    first, second = context.new_page(), context.new_page()
    before = streams(whole)
    for page in (first, second):
        page.goto(f"/c/{begun}")
        expect(page.get_by_role("article").locator(".markdown")).not_to_be_empty()
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    debugger = context.new_cdp_session(first)
    debugger.send("Debugger.enable")
    debugger.send("Debugger.pause")
    wait_until(lambda: streams(whole) - before == 2, "a stream of the other tab's own", within_s=PATIENCE_S)
    had = len(shown(second))
    wait_until(lambda: len(shown(second)) > had + 20, "more words in the other tab", within_s=PATIENCE_S)
    debugger.send("Debugger.resume")
    debugger.send("Debugger.disable")
    wait_until(lambda: len(shown(first)) > had + 20, "more words once it goes on", within_s=PATIENCE_S)
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    stop(whole, begun)
    for page in (first, second):
        wait_for(page.get_by_role("article"), "cancelled")
        assert shown(page) == said(whole, begun)


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


def test_a_page_that_is_opened_in_a_further_round_of_a_turn_reads_it_as_it_comes(
    page: Page, whole: Address
) -> None:
    with post(whole, "/api/v1/compare-stream", {"input_data": "First", "models": ["sim/text"]}) as first:
        conversation, turn = first.headers["X-Conversation-Id"], first.headers["X-Turn-Id"]
        first.read()
    more = {"models": ["sim/slow:tokens=2000:pace=100ms"]}
    post(whole, f"/api/v1/conversations/{conversation}/turns/{turn}/models", more).close()
    page.goto(f"/c/{conversation}")
    added = page.get_by_role("article").last
    expect(page.get_by_role("article")).to_have_count(2)
    expect(added.locator(".markdown")).not_to_be_empty()
    had = len(added.text_content() or "")
    wait_until(lambda: len(added.text_content() or "") > had, "more words", within_s=PATIENCE_S)
    expect(added).to_have_attribute("data-phase", "answering")
    stop(whole, conversation)
    wait_for(added, "cancelled")


@pytest.mark.parametrize("conversations", [1, 2])  # by its own stream, and by the one of all
def test_the_network_goes_and_comes_back_and_nothing_is_lost_or_doubled(
    context: BrowserContext, whole: Address, conversations: int
) -> None:
    begun = [begin(whole, "sim/slow:tokens=2000:pace=100ms") for _ in range(conversations)]
    pages = [context.new_page() for _ in begun]
    before = streams(whole)
    for page, conversation in zip(pages, begun, strict=True):
        page.goto(f"/c/{conversation}")
        expect(page.get_by_role("article").locator(".markdown")).not_to_be_empty()
    wait_until(lambda: streams(whole) - before == 1, "one stream", within_s=PATIENCE_S)
    context.set_offline(True)
    for page in pages:
        expect(page.get_by_text("You are offline.")).to_be_visible()
    heard = [len(shown(page)) for page in pages]
    context.set_offline(False)
    for page in pages:
        expect(page.get_by_text("You are offline.")).to_be_hidden()
    wait_until(
        lambda: all(len(shown(page)) > had for page, had in zip(pages, heard, strict=True)),
        "more words in every tab",
        within_s=PATIENCE_S,
    )
    for page, conversation in zip(pages, begun, strict=True):
        stop(whole, conversation)
        wait_for(page.get_by_role("article"), "cancelled")
        assert shown(page) == said(whole, conversation)


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
    page.get_by_role("button", name="Stop sim/slow").click()
    wait_for(answer(page, "sim/slow"), "cancelled")
