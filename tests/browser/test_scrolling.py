"""A reader's place in an answer that streams: kept where they have scrolled to, and at the end for who reads there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import begin, stop
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

LEFT = "sim/text:tokens=4000:pace=10ms"
RIGHT = "sim/reasoning:tokens=4000:pace=10ms"
AT_END = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 40"


def body_of(page: Page, model: str) -> Locator:
    return page.get_by_role("region", name=f"Answer of {model}")


def height(body: Locator) -> int:
    found: int = body.evaluate("box => box.scrollHeight")
    return found


def place(body: Locator) -> int:
    found: int = body.evaluate("box => Math.round(box.scrollTop)")
    return found


def grows(body: Locator, by: int = 60) -> None:
    """Waits until more text has come."""
    body.page.wait_for_function(
        "([box, least]) => box.scrollHeight >= least", arg=[body.element_handle(), height(body) + by]
    )


def test_a_reader_who_scrolled_up_stays_there_and_one_at_the_end_follows(page: Page, whole: Address) -> None:
    conversation = begin(whole, LEFT, RIGHT)
    page.goto(f"/c/{conversation}")
    left, right = body_of(page, LEFT), body_of(page, RIGHT)
    for body in (left, right):
        expect(body).to_be_visible()
        page.wait_for_function("box => box.scrollTop > 200", arg=body.element_handle())
        page.wait_for_function(AT_END, arg=body.element_handle())

    # A little up, as far as a single notch of a wheel: no more than the text that comes meanwhile.
    left.hover()
    before = place(left)
    page.mouse.wheel(0, -120)
    page.wait_for_function("([box, was]) => box.scrollTop < was", arg=[left.element_handle(), before])
    grows(left)
    kept = place(left)
    followed = place(right)
    for _ in range(3):
        grows(left)
        assert place(left) == kept
    # The answer beside goes on at its own end.
    page.wait_for_function("([box, was]) => box.scrollTop > was", arg=[right.element_handle(), followed])
    page.wait_for_function(AT_END, arg=right.element_handle())

    # By keys too, and back to the end, where one follows again.
    right.focus()
    page.keyboard.press("Home")
    page.wait_for_function("box => box.scrollTop === 0", arg=right.element_handle())
    grows(right)
    assert place(right) == 0
    page.keyboard.press("End")
    page.wait_for_function(AT_END, arg=right.element_handle())
    reached = place(right)
    grows(right)
    page.wait_for_function("([box, was]) => box.scrollTop > was", arg=[right.element_handle(), reached])
    page.wait_for_function(AT_END, arg=right.element_handle())
    assert place(left) == kept
    stop(whole, conversation)
