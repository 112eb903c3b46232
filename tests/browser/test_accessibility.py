"""Every page passes axe in light and dark, works by keyboard alone, and fits a phone and twice the text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.axe import in_both_schemes
from tests.browser.steps import answer, answered, ask, visit, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def pages(conversation: str) -> tuple[str, ...]:
    return ("/", f"/c/{conversation}", "/gallery", "/search?q=circle", "/usage", "/settings")


@pytest.fixture(scope="module")
def conversation(whole: Address) -> str:
    """One with text, a picture, a sound, reasoning and a failure."""
    return answered(whole, "Draw a red circle", "sim/mixed", "sim/reasoning", "sim/refused")


def test_every_page_passes_axe(page: Page, conversation: str) -> None:
    titles = []
    for address in pages(conversation):
        visit(page, address)
        found = in_both_schemes(page, address)
        assert not found, "\n".join(found)
        titles.append(page.title())
    assert len(set(titles)) == len(titles), "each page has a name of its own"
    assert all(title.endswith("Polylogue") for title in titles)


def test_what_opens_passes_axe(page: Page, conversation: str) -> None:
    visit(page, f"/c/{conversation}")
    card = answer(page, "sim/mixed")
    found = []

    def open_and_check(what: str, press: Locator, *, to_be_seen: Locator) -> None:
        press.click()
        expect(to_be_seen).to_be_visible()
        found.extend(in_both_schemes(page, what))
        page.keyboard.press("Escape")

    def dialog(name: str) -> Locator:
        return page.get_by_role("dialog", name=re.compile(name))

    def button(name: str) -> Locator:
        return page.get_by_role("button", name=name, exact=True)

    enlarge = card.get_by_role("button", name=re.compile("^Enlarge")).first
    open_and_check("enlarged picture", enlarge, to_be_seen=dialog("^Picture by"))
    open_and_check("export", button("Export"), to_be_seen=dialog("^Export"))
    button("Share").click()
    dialog("^Share").get_by_role("button", name="Make a link").click()
    expect(dialog("^Share").get_by_role("textbox", name="Link")).to_be_visible()
    found.extend(in_both_schemes(page, "share"))
    page.keyboard.press("Escape")
    open_and_check("keys", page.get_by_role("button", name=re.compile("^Keys")), to_be_seen=dialog("^Keys"))
    open_and_check(
        "deleting a picture",
        card.get_by_role("button", name="Delete picture"),
        to_be_seen=page.get_by_role("alertdialog", name="Delete this picture"),
    )
    row = page.get_by_role("listitem").filter(has=page.locator(f'a[href="/c/{conversation}"]'))
    row.hover()
    open_and_check(
        "deleting a conversation",
        row.get_by_role("button", name=re.compile("^Delete")),
        to_be_seen=row.get_by_role("alertdialog"),
    )
    open_and_check(
        "choosing models",
        page.get_by_role("button", name=re.compile("^(Choose|Change) models$")),
        to_be_seen=page.get_by_role("searchbox", name="Search models"),
    )
    assert not found, "\n".join(found)


def test_a_shared_conversation_passes_axe(page: Page, conversation: str) -> None:
    made = page.request.post(f"/api/v1/conversations/{conversation}/share")
    page.goto(made.json()["url"])
    expect(page.get_by_role("article", name="sim/mixed").get_by_role("img").first).to_be_visible()
    found = in_both_schemes(page, "shared")
    assert not found, "\n".join(found)
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 2560])
def test_no_page_scrolls_in_two_directions(page: Page, conversation: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for address in pages(conversation):
        visit(page, address)
        wide = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, address


def test_twice_the_text_still_fits(page: Page, conversation: str) -> None:
    page.goto(f"/c/{conversation}")
    page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
    expect(answer(page, "sim/mixed")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_phone_shows_one_model_at_a_time(page: Page, conversation: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"/c/{conversation}")
    expect(answer(page, "sim/mixed")).to_be_visible()
    expect(answer(page, "sim/reasoning")).to_be_hidden()
    page.get_by_role("tab", name="sim/mixed").focus()
    page.keyboard.press("ArrowRight")
    expect(answer(page, "sim/reasoning")).to_be_visible()
    expect(answer(page, "sim/mixed")).to_be_hidden()


LONG = (
    """A [first link](https://example.org/1) and a [second](https://example.org/2).

```python
print("a box that scrolls")
```

| a | b | c | d | e | f |
| - | - | - | - | - | - |
| one long cell | seventeen | eighteen | four long words | nineteen | twenty |

"""
    * 6
)
COVERED = """() => {
  const held = document.activeElement;
  const header = held.closest("article")?.querySelector("header");
  if (!header || header.contains(held)) return null;
  const covered = held.getBoundingClientRect().bottom <= header.getBoundingClientRect().bottom + 1;
  return covered ? held.innerText : null;
}"""


def test_on_a_phone_the_focus_is_never_under_the_header_that_stays(page: Page, conversation: str) -> None:
    def lengthened(route: Route) -> None:
        told = route.fetch().json()
        for message in told["turns"][0]["messages"]:
            message["content"] = LONG
        route.fulfill(json=told)

    page.route(f"**/api/v1/conversations/{conversation}", lengthened)
    page.set_viewport_size({"width": 320, "height": 640})
    visit(page, f"/c/{conversation}")
    cell = answer(page, "sim/mixed").get_by_role("cell", name="seventeen").first
    assert cell.evaluate("one => one.getBoundingClientRect().width") > 60, "no word of a table is broken"
    page.get_by_role("textbox", name="Prompt", exact=True).focus()
    reached = 0
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(COVERED) is None
        reached += page.evaluate("() => document.activeElement.closest('.markdown') !== null")
    assert reached > 20


def test_small_targets_are_24_pixels(page: Page, conversation: str) -> None:
    page.goto(f"/c/{conversation}")
    expect(answer(page, "sim/mixed")).to_be_visible()
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, summary, [role=tab], figcaption a')]
            .filter(one => one.checkVisibility() && !one.closest('.visually-hidden') && !one.classList.contains('visually-hidden'))
            .map(one => [one, one.type === 'checkbox' || one.type === 'radio' ? one.closest('label') ?? one : one])
            .map(([one, target]) => [one.outerHTML.slice(0, 80), target.getBoundingClientRect()])
            .filter(([, box]) => box.height < 24 || box.width < 24)
            .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""
    )
    assert small == []


def test_the_whole_journey_by_keyboard_alone(page: Page) -> None:
    visit(page, "/")
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the answers")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "button", re.compile("^Text and a picture"))
    page.keyboard.press("Enter")
    tab_to(page, "textbox", re.compile("^Prompt$"))
    page.keyboard.type(" by hand")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/c/"))
    wait_for(answer(page, "sim/text"), "finished")
    wait_for(answer(page, "sim/painter"), "finished")
    tab_to(page, "button", re.compile("^Enlarge: "), key="Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("+")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^Enlarge: "))).to_be_focused()


def test_a_screen_reader_hears_one_sentence_a_model_and_no_stream(page: Page) -> None:
    ask(page, "Say something", "sim/slow", "sim/text")
    wait_for(answer(page, "sim/text"), "finished")
    log = page.get_by_role("log")
    expect(log).to_have_text("sim/text has finished.")
    assert page.locator("[aria-live] .markdown, [role=log] .markdown, [role=status] .markdown").count() == 0
    page.get_by_role("button", name="Stop sim/slow").click()
    expect(log).to_contain_text("sim/slow was stopped.")


def tab_to(page: Page, role: Any, name: re.Pattern[str], *, key: str = "Tab") -> None:
    wanted = page.get_by_role(role, name=name).first
    for _ in range(60):
        if wanted.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press(key)
    pytest.fail(f"{name.pattern} is not reached by Tab")
