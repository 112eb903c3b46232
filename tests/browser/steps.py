"""What a person does in the web UI, by the names that they see."""

from __future__ import annotations

import json
import re
import urllib.request
from http.client import HTTPResponse

from playwright.sync_api import Locator, Page, expect

from tests.support.whole_run import Address

PATIENCE_S = 60.0


def answered(whole: Address, prompt: str, *models: str) -> str:
    """Asks past the browser and waits for every answer and medium; returns the conversation's id."""
    body = json.dumps({"input_data": prompt, "models": models}).encode()
    request = urllib.request.Request(
        f"{whole.url}/api/v1/compare-stream", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as stream:
        frames = [json.loads(line.removeprefix(b"data: ")) for line in stream if line.startswith(b"data: ")]
    assert frames[-1]["type"] == "complete"
    identity: str = frames[0]["conversation_id"]
    return identity


def begin(whole: Address, *models: str) -> str:
    """Asks without a browser; returns the conversation's id as soon as there is one."""
    body = {"input_data": "Count, and take your time", "models": models}
    with post(whole, "/api/v1/compare-stream", body) as answer:
        identity: str = answer.headers["X-Conversation-Id"]
    return identity


def post(whole: Address, path: str, body: object) -> HTTPResponse:
    request = urllib.request.Request(
        whole.url + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE_S)
    return answer


def stop(whole: Address, conversation: str) -> None:
    post(whole, f"/api/v1/conversations/{conversation}/cancel", {}).close()


def visit(page: Page, address: str) -> None:
    """Opens a page and waits until it is drawn: its navigation, its heading, and whatever it asked for."""
    page.goto(address)
    expect(page.get_by_role("link", name="Skip to the answers")).to_be_attached()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("Loading", exact=False)).to_have_count(0)
    page.wait_for_load_state("networkidle")


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


def plays(player: Locator) -> None:
    """It has a length, starts, and goes on."""
    expect(player).to_be_attached()
    handle = player.element_handle()
    player.page.wait_for_function("player => player.duration > 0.5", arg=handle)
    player.evaluate("player => { player.muted = true; return player.play(); }")
    player.page.wait_for_function("player => player.currentTime > 0.1", arg=handle)
