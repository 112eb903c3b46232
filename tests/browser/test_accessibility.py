"""Every page passes axe in light and dark, works by keyboard alone, and fits a phone and twice the text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import answer, ask, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe finds, a line for each element."""
    # As a script of the test's own world: the page's policy refuses scripts from elsewhere, as it should.
    page.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')} }}")
    found: list[dict[str, Any]] = page.evaluate(
        "tags => window.axe.run(document, {runOnly: tags}).then(result => result.violations)", STANDARDS
    )
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:250]}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.fixture
def conversation(page: Page) -> str:
    """One with text, a picture, a sound, reasoning and a failure."""
    identity = ask(page, "Draw a red circle", "sim/mixed", "sim/reasoning", "sim/refused")
    for model, phase in (("sim/mixed", "finished"), ("sim/reasoning", "finished"), ("sim/refused", "failed")):
        wait_for(answer(page, model), phase)
    return identity


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_passes_axe(page: Page, conversation: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for address in ("/", f"/c/{conversation}", "/gallery", "/search?q=circle", "/usage", "/settings"):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        found = violations(page)
        assert not found, "\n".join([address, *found])


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 2560])
def test_no_page_scrolls_in_two_directions(page: Page, conversation: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for address in ("/", f"/c/{conversation}", "/gallery", "/search?q=circle", "/usage", "/settings"):
        page.goto(address)
        page.wait_for_load_state("networkidle")
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
    page.goto("/")
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
