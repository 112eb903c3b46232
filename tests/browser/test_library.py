"""What is kept: ratings and drafts over a reload, the gallery, exports that are opened, links, and media that are deleted."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.steps import answer, answered, ask, choose, visit, wait_for
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def prompt_of(page: Page) -> str:
    return page.get_by_role("textbox", name="Prompt", exact=True).input_value()


def export(page: Page, form: str, media: str, to: Path) -> Path:
    page.get_by_role("button", name="Export", exact=True).click()
    dialog = page.get_by_role("dialog", name="Export this conversation")
    dialog.get_by_role("radio", name=re.compile(f"^{form}")).check()
    dialog.get_by_role("radio", name=re.compile(media)).check()
    with page.expect_download() as begun:
        dialog.get_by_role("button", name="Export").click()
    expect(dialog.get_by_role("status")).to_contain_text("is saved")
    dialog.get_by_role("button", name="Close").click()
    saved = to / begun.value.suggested_filename
    begun.value.save_as(saved)
    return saved


def test_what_was_judged_is_still_judged_after_a_reload(page: Page) -> None:
    ask(page, "Who is better?", "sim/text", "sim/reasoning")
    for model in ("sim/text", "sim/reasoning"):
        wait_for(answer(page, model), "finished")
    best = page.get_by_role("button", name="sim/text gave the best answer")
    down = page.get_by_role("button", name="Thumb down for sim/reasoning")
    best.click()
    expect(best).to_have_attribute("aria-pressed", "true")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Write a note").click()
    page.get_by_role("textbox", name="Note on these answers").fill("The other one only thinks aloud.")
    page.get_by_role("button", name="Save note").click()
    note = page.get_by_text("The other one only thinks aloud.")
    expect(note).to_be_visible()
    page.reload()
    expect(best).to_have_attribute("aria-pressed", "true")
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(note).to_be_visible()
    best.click()
    expect(best).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(best).to_have_attribute("aria-pressed", "false")
    expect(note).to_be_visible()


def test_blind_hides_the_names_until_the_best_is_chosen(page: Page) -> None:
    page.goto("/")
    page.get_by_role("checkbox", name=re.compile("^Hide the models")).check()
    ask(page, "Who is better?", "sim/text", "sim/painter")
    for name in ("Model A", "Model B"):
        wait_for(page.get_by_role("article", name=name), "finished")
    # What an open picture is called, and how fast and dear its model was, would tell.
    page.get_by_role("button", name=re.compile("^Enlarge")).click()
    expect(page.get_by_role("dialog", name="Picture by a model")).to_be_visible()
    page.keyboard.press("Escape")
    figures = page.get_by_role("article").get_by_text("first after")
    expect(figures).to_have_count(0)
    painted = page.get_by_role("article").filter(has=page.get_by_role("img"))
    letter = painted.get_by_role("heading").inner_text()
    before = painted.bounding_box()
    page.get_by_role("button", name=f"{letter} gave the best answer").click()
    expect(page.get_by_role("article", name="sim/painter")).to_be_visible()
    expect(figures).to_have_count(2)
    after = page.get_by_role("article", name="sim/painter").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["x"] - before["x"]) < 1, "what was judged stays in its place"


def test_columns_change_their_width_by_keys(page: Page) -> None:
    ask(page, "Wide", "sim/text", "sim/reasoning")
    wait_for(answer(page, "sim/text"), "finished")
    before = answer(page, "sim/text").bounding_box()
    divider = page.get_by_role("separator", name="Width of sim/text")
    divider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    after = answer(page, "sim/text").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] < before["width"] - 60
    told = divider.evaluate("one => [one.ariaValueMin, one.ariaValueNow, one.ariaValueMax].map(Number)")
    assert told == sorted(told), "a screen reader is told a value within its bounds"


def test_a_draft_survives_a_reload_and_a_refused_prompt_stays_with_its_picture(page: Page) -> None:
    refusal = {
        "detail": "The cost of this month is used up.",
        "code": "quota_exceeded",
        "what": "cost_per_month",
        "limit": 1,
        "used": 1,
        "resets": "2031-01-01T00:00:00Z",
    }

    def refuse(route: Route) -> None:
        route.fulfill(status=402, content_type="application/json", body=json.dumps(refusal))

    page.goto("/")
    choose(page, "sim/text")
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Not to be lost")
    page.reload()
    assert prompt_of(page) == "Not to be lost"
    dot = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
    page.locator("input[type=file]").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": dot}
    )
    expect(page.get_by_role("img", name="dot.png")).to_be_attached()
    page.route("**/api/v1/compare-stream", refuse)
    page.get_by_role("button", name="Ask", exact=True).click()
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text("The cost of this month is used up.")
    expect(alarm).to_contain_text("It works again from")
    expect(alarm).to_contain_text("2031")
    assert prompt_of(page) == "Not to be lost"
    expect(page.get_by_role("img", name="dot.png")).to_be_attached()


def test_a_deleted_picture_is_gone_from_answer_and_gallery_and_says_so(page: Page) -> None:
    ask(page, "Draw something to be deleted", "sim/painter")
    painter = answer(page, "sim/painter")
    wait_for(painter, "finished")
    expect(painter.get_by_role("img").first).to_be_visible()
    page.goto("/gallery")
    expect(page.locator(".gallery .media-container").first).to_be_visible()
    page.get_by_role("combobox", name="Kind").select_option("image")
    shown = page.locator(".gallery li")
    expect(shown.first.get_by_role("img")).to_be_visible()
    page.go_back()
    painter.get_by_role("button", name="Delete picture").click()
    question = painter.get_by_role("alertdialog", name="Delete this picture")
    question.get_by_role("button", name="Keep").click()
    expect(painter.get_by_role("img").first).to_be_visible()
    painter.get_by_role("button", name="Delete picture").click()
    question.get_by_role("button", name="Delete", exact=True).click()
    expect(painter.get_by_text("Picture was deleted")).to_be_visible()
    page.reload()
    expect(painter.get_by_text("Picture was deleted")).to_be_visible()


def test_a_picture_deleted_in_the_gallery_is_gone_there_and_from_its_answer(
    page: Page, whole: Address
) -> None:
    identity = answered(whole, "Draw something for the gallery", "sim/painter")
    visit(page, "/gallery")
    tiles = page.locator(".gallery li").filter(has=page.locator(f'a[href="/c/{identity}"]'))
    expect(tiles).to_have_count(1)
    tiles.get_by_role("button", name="Delete picture").click()
    question = tiles.get_by_role("alertdialog", name="Delete this picture")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(tiles.get_by_role("button", name="Delete picture")).to_be_focused()
    page.keyboard.press("Enter")
    question.get_by_role("button", name="Delete", exact=True).click()
    expect(tiles).to_have_count(0)
    visit(page, f"/c/{identity}")
    expect(answer(page, "sim/painter").get_by_text("Picture was deleted")).to_be_visible()


def test_an_enlarged_picture_is_paged_and_downloaded(page: Page, tmp_path: Path) -> None:
    ask(page, "Draw two", "sim/painter", "sim/mixed")
    for model in ("sim/painter", "sim/mixed"):
        wait_for(answer(page, model), "finished")
    answer(page, "sim/painter").get_by_role("button", name="Enlarge: Draw two").first.click()
    dialog = page.get_by_role("dialog", name="Picture by sim/painter")
    expect(dialog).to_be_visible()
    stage = dialog.get_by_role("region", name="Picture")
    fits = "one => one.scrollHeight <= one.clientHeight && one.scrollWidth <= one.clientWidth"
    assert stage.evaluate(fits)
    page.keyboard.press("+")
    expect(dialog.get_by_role("button", name="Smaller")).to_be_enabled()
    assert not stage.evaluate(fits)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name=re.compile("^Picture by "))).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_download() as begun:
        answer(page, "sim/painter").get_by_role("link", name="Download picture").first.click()
    saved = tmp_path / "picture"
    begun.value.save_as(saved)
    assert saved.stat().st_size > 100


def test_exports_hold_what_was_said_and_made(page: Page, tmp_path: Path) -> None:
    identity = ask(page, "Draw and tell for the record", "sim/painter", "sim/text")
    for model in ("sim/painter", "sim/text"):
        wait_for(answer(page, model), "finished")
    # An answer can be finished before its picture is stored; an export tells of what the tables have.
    expect(answer(page, "sim/painter").get_by_role("img").first).to_be_visible()
    page.reload()
    expect(answer(page, "sim/painter").get_by_role("img").first).to_be_visible()
    said = answer(page, "sim/text").locator(".markdown").inner_text().split(".")[0]

    text = export(page, "Markdown", "as links", tmp_path).read_text(encoding="utf-8")
    assert "Draw and tell for the record" in text
    assert said[-20:] in text
    assert re.search(r"!\[[^\]]*\]\([^)]+/api/(?:v1/)?media/", text)

    told = json.loads(export(page, "JSON", "left out", tmp_path).read_text(encoding="utf-8"))
    assert identity in json.dumps(told)

    with zipfile.ZipFile(export(page, "HTML", "as files", tmp_path)) as bundle:
        names = bundle.namelist()
        assert bundle.testzip() is None
    assert any(name.endswith(".html") for name in names)
    assert any("assets/" in name for name in names)


def test_a_link_shows_a_stranger_the_conversation_until_it_is_taken_back(
    page: Page, browser: Browser, whole: Address
) -> None:
    ask(page, "Draw for everybody", "sim/painter", "sim/text")
    for model in ("sim/painter", "sim/text"):
        wait_for(answer(page, model), "finished")
    page.get_by_role("button", name="Share", exact=True).click()
    dialog = page.get_by_role("dialog", name="Share this conversation")
    dialog.get_by_role("button", name="Make a link").click()
    link = dialog.get_by_role("textbox", name="Link").input_value()
    stranger = browser.new_context(base_url=whole.url).new_page()
    stranger.goto(link)
    expect(stranger.get_by_text("Draw for everybody", exact=True).first).to_be_visible()
    picture = stranger.get_by_role("article", name="sim/painter").get_by_role("img").first
    expect(picture).to_be_visible()
    stranger.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=picture.element_handle()
    )
    dialog.get_by_role("button", name="Take the link back").click()
    expect(dialog.get_by_role("button", name="Make a link")).to_be_visible()
    stranger.reload()
    expect(stranger.get_by_role("alert")).to_be_visible()
    stranger.context.close()


def test_the_keys_are_listed_on_every_page(page: Page) -> None:
    for address in ("/", "/gallery", "/usage"):
        page.goto(address)
        expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
        page.locator("body").press("?")
        dialog = page.get_by_role("dialog", name="Keys")
        expect(dialog).to_contain_text("show this list")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
