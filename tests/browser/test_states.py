"""What is shown where there is nothing, or no way to it: nothing found, nothing kept, the API away, a quota used up."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.steps import answer, answered, ask, visit, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

AWAY = "The server does not answer."


def test_nothing_found_says_what_to_try(page: Page) -> None:
    visit(page, "/search")
    page.get_by_role("searchbox", name="Words").fill("zyzzyvaquix")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Nothing holds “zyzzyvaquix”.")).to_be_visible()
    visit(page, "/gallery")
    page.get_by_role("combobox", name="Model").fill("nobody/nothing")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    visit(page, "/")
    page.get_by_role("button", name="Choose models").click()
    page.get_by_role("searchbox", name="Search models").fill("zyzzyvaquix")
    expect(page.get_by_text("No model is called “zyzzyvaquix”.")).to_be_visible()


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    page.goto(f"/c/{'0' * 32}")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such conversation.")
    # Nothing can be asked in it.
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_have_count(0)
    for address in ("/nowhere", "/nowhere/at", "/nowhere/at/all"):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing at this address.")
    page.get_by_role("link", name="new comparison", exact=True).click()
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_be_visible()
    page.goto("/shared/nothing-here")
    expect(page.get_by_role("alert")).to_contain_text("It may have been taken back.")


def test_an_api_that_is_away_is_told_of_and_asked_again_until_it_is_back(page: Page) -> None:
    visit(page, "/")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.get_by_role("link", name="Gallery", exact=True).click()
    away = page.get_by_role("status").filter(has_text=AWAY)
    expect(away).to_be_visible()
    # Nothing was sent here, and so nothing is said of it.
    expect(page.get_by_role("main").get_by_role("alert")).to_have_text(
        f"{AWAY} This page tries again by itself."
    )
    page.unroute("**/api/v1/**")
    expect(away).to_have_count(0)
    expect(page.get_by_role("main").get_by_role("alert")).to_have_count(0)


def test_what_is_asked_while_the_api_is_away_is_answered_once_it_is_back(page: Page) -> None:
    ask(page, "First", "sim/text")
    wait_for(answer(page, "sim/text"), "finished")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Is anybody there?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="The connection was lost.")).to_be_visible()
    page.unroute("**/api/v1/**")
    expect(page.get_by_role("region", name="Turn")).to_have_count(2)
    wait_for(answer(page, "sim/text"), "finished")
    page.reload()
    expect(page.get_by_role("region", name="Turn")).to_have_count(2)


def test_a_change_that_nobody_took_says_that_nothing_was_changed(page: Page, whole: Address) -> None:
    identity = answered(whole, "To be renamed", "sim/text")
    visit(page, f"/c/{identity}")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.get_by_role("button", name="sim/text gave the best answer").click()
    expect(page.get_by_text("The server does not answer; nothing was changed.")).to_be_visible()


def test_a_quota_that_a_follow_up_meets_leaves_the_conversation_as_it_was(page: Page) -> None:
    def refuse(route: Route) -> None:
        told = {
            "detail": "You have stored all that you may.",
            "code": "quota_exceeded",
            "what": "stored_bytes",
            "limit": 1,
            "used": 1,
            "resets": None,
        }
        route.fulfill(status=402, content_type="application/json", body=json.dumps(told))

    ask(page, "First", "sim/text")
    wait_for(answer(page, "sim/text"), "finished")
    page.route("**/api/v1/compare-stream", refuse)
    box = page.get_by_role("textbox", name="Prompt", exact=True)
    box.fill("One too many")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Delete something")
    expect(box).to_have_value("One too many")
    expect(page.get_by_role("region", name="Turn")).to_have_count(1)
