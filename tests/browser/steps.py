"""What a person does in the web UI, by the names that they see."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def choose(page: Page, *models: str) -> None:
    """Leaves exactly these models chosen, in this order."""
    page.get_by_role("button", name=re.compile("^(Choose|Change) models$")).click()
    chosen = page.get_by_role("button", name=re.compile("^Leave out "))
    for _ in range(chosen.count()):
        chosen.first.click()
    for model in models:
        page.get_by_role("searchbox", name="Search models").fill(model)
        page.locator(".offered").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Change models").click()


def ask(page: Page, prompt: str, *models: str) -> str:
    """Opens a new comparison and asks; returns the conversation's id once it has one."""
    page.goto("/")
    if models:
        choose(page, *models)
    page.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name=re.compile(r"^Ask( \d+ models)?$")).click()
    page.wait_for_url(re.compile("/c/[0-9a-f]+$"))
    return page.url.rsplit("/", 1)[1]


def answer(page: Page, model: str) -> Locator:
    """The latest answer of a model."""
    return page.get_by_role("article", name=model).last


def wait_for(answers: Locator, phase: str) -> None:
    expect(answers).to_have_attribute("data-phase", phase)
