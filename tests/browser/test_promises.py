"""What the page offers beside the main journey: pictures by paste and drop, the limit of models, lists, filters and charts."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.steps import answer, answered, visit, wait_for
from tests.support.media_samples import plain
from tests.support.whole_run import Address, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SEEN_S = 60
# Gives a file to the prompt box as a browser does when one is pasted or dropped.
GIVE = """(box, [kind, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type }));
  const more = { bubbles: true, cancelable: true };
  box.dispatchEvent(
    kind === "paste"
      ? new ClipboardEvent("paste", { clipboardData: given, ...more })
      : new DragEvent("drop", { dataTransfer: given, ...more }),
  );
}"""


def test_pictures_are_pasted_and_dropped_and_other_files_are_refused_in_words(page: Page) -> None:
    visit(page, "/")
    box = page.get_by_role("textbox", name="Prompt", exact=True)
    data = base64.b64encode(plain()).decode()
    for kind in ("paste", "drop"):
        box.evaluate(GIVE, [kind, f"{kind}.png", "image/png", data])
        expect(page.get_by_role("img", name=f"{kind}.png")).to_be_visible()
    box.evaluate(GIVE, ["drop", "notes.txt", "text/plain", data])
    expect(page.get_by_role("alert")).to_contain_text("notes.txt cannot be attached")
    page.get_by_role("button", name="Leave out paste.png").click()
    expect(page.get_by_role("img", name="paste.png")).to_have_count(0)
    expect(page.get_by_role("img", name="drop.png")).to_be_visible()


def test_twelve_models_are_the_most(page: Page) -> None:
    visit(page, "/")
    page.get_by_role("button", name="Choose models").click()
    offered = page.locator(".offered").get_by_role("checkbox")
    for number in range(12):
        offered.nth(number).check()
    expect(page.get_by_text("12 of at most 12 chosen")).to_be_visible()
    expect(offered.nth(12)).to_be_disabled()
    offered.first.uncheck()
    expect(offered.nth(12)).to_be_enabled()


def test_the_list_goes_on_as_one_scrolls_with_what_is_pinned_at_its_top(page: Page) -> None:
    def row(number: int) -> dict[str, object]:
        at = "2026-01-01T00:00:00Z"
        told = {
            "pinned": number in pinned,
            "status": "idle",
            "turn_running": False,
            "created_at": at,
            "updated_at": at,
        }
        return {"conversation_id": f"{number:032}", "title": f"Number {number}", **told}

    pinned = (3, 65)

    def paged(route: Route) -> None:
        if "pinned=true" in route.request.url:
            route.fulfill(json={"conversations": [row(number) for number in pinned], "next_cursor": None})
            return
        later = "cursor=later" in route.request.url
        rows = [row(number) for number in (range(60, 70) if later else range(60))]
        route.fulfill(json={"conversations": rows, "next_cursor": None if later else "later"})

    page.route("**/api/v1/conversations?*", paged)
    page.goto("/")
    rows = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Number")
    # The 65th is of a page that nobody has scrolled to, and the third is in the list only once.
    expect(rows).to_have_count(61)
    for place, number in enumerate((3, 65, 0, 1, 2, 4)):
        expect(rows.nth(place)).to_have_text(re.compile(rf"Number {number}$"))
    rows.last.scroll_into_view_if_needed()
    expect(rows).to_have_count(70)
    expect(rows.nth(1)).to_have_text(re.compile("Number 65$"))


def test_search_gallery_and_usage_show_what_was_made(page: Page, whole: Address) -> None:
    identity = answered(whole, "Draw an ocelot and say its name", "sim/painter", "sim/speaker")

    def there(path: str) -> bool:
        return identity in whole.text(path)

    assert eventually(lambda: there("/api/v1/search?q=ocelot"), SEEN_S)
    assert eventually(lambda: there("/api/v1/media?type=audio&model=sim/speaker"), SEEN_S)
    visit(page, "/search?q=ocelot")
    hit = page.locator(".hits li").filter(has=page.locator(f'a[href="/c/{identity}"]')).first
    expect(hit.locator("mark").first).to_have_text("ocelot")

    visit(page, "/gallery")
    page.get_by_role("combobox", name="Kind").select_option("audio")
    page.get_by_role("combobox", name="Model").fill("sim/speaker")
    page.keyboard.press("Enter")
    tiles = page.locator(".gallery li")
    mine = tiles.filter(has=page.locator(f'a[href="/c/{identity}"]'))
    expect(mine.locator("audio")).to_have_count(1)
    expect(mine.get_by_label("Sound: Draw an ocelot and say its name").first).to_be_attached()
    expect(tiles.filter(has_not=page.locator("audio"))).to_have_count(0)
    expect(tiles.filter(has_not_text="sim/speaker")).to_have_count(0)
    visit(page, "/gallery")
    drawn = page.locator(".gallery li").filter(has=page.locator(f'a[href="/c/{identity}"]'))
    expect(drawn.get_by_role("img", name="Draw an ocelot and say its name", exact=True)).to_be_visible()

    visit(page, f"/c/{identity}")
    speaker = answer(page, "sim/speaker")
    wait_for(speaker, "finished")
    expect(speaker.locator("svg.waveform rect").first).to_be_attached()
    speaker.get_by_role("button", name="Copy the answer of sim/speaker").click()
    expect(speaker.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") != ""

    assert eventually(lambda: "sim/painter" in whole.text("/api/v1/usage?by=model"), SEEN_S)
    visit(page, "/usage")
    page.get_by_role("combobox", name="By").select_option("model")
    made = page.get_by_role("region", name="Media that were made")
    expect(made.get_by_role("rowheader", name="sim/painter")).to_be_visible()
    expect(page.locator(".bar", has_text="sim/painter").first.locator("rect")).to_be_visible()
    did = page.get_by_role("region", name="How the models did")
    expect(did.get_by_role("rowheader", name="sim/speaker")).to_be_visible()
