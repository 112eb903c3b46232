"""A phone on a slow network: the whole journey by touch, with picture, sound and film that load and play."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS
from tests.browser.steps import answer, choose, plays, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SLOW = {"offline": False, "latency": 300, "downloadThroughput": 200_000, "uploadThroughput": 50_000}
LEFT_AND_RIGHT = (
    "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth && scrollX === 0"
)


@pytest.fixture
def phone(browser: Browser, whole: Address) -> Iterator[Page]:
    context = browser.new_context(
        base_url=whole.url,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", SLOW)
    yield page
    context.close()


def swipe(phone: Page, *, to_the_left: bool) -> None:
    """A finger across the name of the card that is shown."""
    box = phone.get_by_role("article").locator("visible=true").get_by_role("heading").bounding_box()
    assert box is not None
    way = [300, 200, 100] if to_the_left else [100, 200, 300]
    fingers = [[{"x": x, "y": box["y"] + box["height"] / 2}] for x in way]
    touch = phone.context.new_cdp_session(phone)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers[0]})
    for finger in fingers[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": finger})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()


def turn_to(phone: Page, model: str) -> None:
    """The browser takes a touch that comes quickly after a swipe for the end of that, and not for a tap."""
    tab = phone.get_by_role("tab", name=model)
    while tab.get_attribute("aria-selected") != "true":
        tab.tap()
        with contextlib.suppress(AssertionError):
            expect(tab).to_have_attribute("aria-selected", "true", timeout=2000)


def test_the_whole_journey_on_a_phone(phone: Page) -> None:
    phone.goto("/")
    expect(phone.get_by_role("heading", level=1)).to_be_visible()
    choose(phone, "sim/painter", "sim/speaker", "sim/director")
    phone.get_by_role("textbox", name="Prompt", exact=True).fill("A boat on a lake")
    phone.get_by_role("button", name="Ask 3 models").tap()
    phone.wait_for_url(re.compile("/c/[0-9a-f]+$"))
    for model in ("sim/painter", "sim/speaker", "sim/director"):
        phone.get_by_role("tab", name=model).tap()
        card = answer(phone, model)
        expect(card).to_be_visible()
        wait_for(card, "finished")
        expect(card.locator("figure.media-container").first).to_be_visible()
        assert phone.evaluate(LEFT_AND_RIGHT)
    plays(answer(phone, "sim/director").locator("video"))
    phone.get_by_role("tab", name="sim/speaker").tap()
    plays(answer(phone, "sim/speaker").locator("audio"))

    panel = phone.get_by_role("tabpanel", name="sim/speaker")
    expect(panel).to_be_visible()
    controlled = phone.get_by_role("tab", name="sim/speaker").get_attribute("aria-controls")
    expect(panel).to_have_attribute("id", str(controlled))

    tab = phone.get_by_role("tab", name="sim/director")
    swipe(phone, to_the_left=True)
    expect(tab).to_have_attribute("aria-selected", "true")
    swipe(phone, to_the_left=False)
    expect(tab).to_have_attribute("aria-selected", "false")

    turn_to(phone, "sim/painter")
    answer(phone, "sim/painter").get_by_role("button", name=re.compile("^Enlarge")).first.tap()
    enlarged = phone.get_by_role("dialog", name="Picture by sim/painter")
    phone.wait_for_function(
        "image => image.naturalWidth > 0", arg=enlarged.get_by_role("img").element_handle()
    )
    enlarged.get_by_role("button", name="Close").tap()
    expect(enlarged).to_have_count(0)

    phone.get_by_role("textbox", name="Prompt", exact=True).fill("And at night?")
    phone.get_by_role("button", name="Ask 3 models").tap()
    expect(phone.get_by_role("region", name="Turn")).to_have_count(2)
    wait_for(answer(phone, "sim/painter"), "finished")

    phone.get_by_role("button", name="Menu").tap()
    phone.get_by_role("link", name="Gallery", exact=True).tap()
    expect(phone.get_by_role("heading", name="Gallery")).to_be_visible()
    expect(phone.get_by_role("navigation", name="Conversations")).to_be_hidden()
    expect(phone.locator(".gallery figure.media-container").first).to_be_visible()
    assert phone.evaluate(LEFT_AND_RIGHT)
