"""Comparing in a real browser against the whole system: answers, media that load and play, reload, stop, and what follows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.steps import answer, answered, ask, choose, plays, wait_for
from tests.support.media_samples import plain
from tests.support.whole_run import Address

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def test_a_newcomer_sees_what_this_is_and_tries_the_first_example(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ask several models at once")
    page.get_by_role("button", name=re.compile("^Text and a picture")).click()
    page.get_by_role("button", name="Ask 2 models").click()
    wait_for(page.get_by_role("article").first, "finished")
    wait_for(page.get_by_role("article").last, "finished")
    expect(page.get_by_role("img", name="Draw a blue square and describe it")).to_be_visible()


def test_picture_sound_and_film_load_and_play(page: Page) -> None:
    ask(page, "Draw, speak and film a red circle", "sim/painter", "sim/speaker", "sim/director")
    for model in ("sim/painter", "sim/speaker", "sim/director"):
        wait_for(answer(page, model), "finished")
    picture = answer(page, "sim/painter").get_by_role("img").first
    expect(picture).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    for model, tag in (("sim/speaker", "audio"), ("sim/director", "video")):
        plays(answer(page, model).locator(tag))


# A copy of what each stream brings of media, and each phase of a medium that stood in the page for as long as it took
# to draw it: some are over before that.
WATCH = """() => {
  window.told = [];
  window.seen = [];
  const fetched = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    // Not the answer to the prompt: the page leaves it with its first frame, and could not while its copy is read.
    if (/events|streams/.test(String(asked[0])) && answer.headers.get("content-type")?.startsWith("text/event-stream")) void copy(answer.clone());
    return answer;
  };
  async function copy(answer) {
    const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { done, value } = await text.read().catch(() => ({ done: true }));
      if (done) return;
      const lines = (held + value).split("\\n");
      held = lines.pop();
      for (const line of lines.filter((one) => one.startsWith("data:"))) {
        const { type, phase, media_id, id } = JSON.parse(line.slice(5));
        if (["media_pending", "media"].includes(type)) window.told.push([media_id, id, phase ?? "ready"]);
      }
    }
  }
  new MutationObserver(() => {
    for (const one of document.querySelectorAll(".media-container")) {
      const phase = one.dataset.phase;
      if (window.seen.at(-1) !== phase) window.seen.push(phase);
    }
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["data-phase"] });
}"""
PHASES = ["generating", "validating", "uploading", "ready"]


def test_a_film_goes_through_its_phases_in_order(page: Page) -> None:
    page.add_init_script(f"({WATCH})()")
    ask(page, "Film a red circle", "sim/director")
    place = answer(page, "sim/director").locator(".media-container")
    expect(place).to_have_text("Film is being made…")
    wait_for(answer(page, "sim/director"), "finished")
    expect(answer(page, "sim/director").locator("video")).to_have_count(1)
    told = {place: phase for _, place, phase in page.evaluate("() => window.told")}
    assert [told[place] for place in sorted(told)] == PHASES
    seen = page.evaluate("() => window.seen")
    assert seen == [phase for phase in PHASES if phase in seen]
    assert {"generating", "ready"} <= set(seen)


def test_a_reload_in_mid_stream_goes_on_without_losing_a_word(page: Page) -> None:
    ask(page, "Say something slowly", "sim/slow", "sim/text")
    slow = answer(page, "sim/slow")
    expect(slow.locator(".markdown")).not_to_be_empty()
    before = slow.locator(".markdown").inner_text()
    page.reload()
    expect(answer(page, "sim/slow").locator(".markdown")).to_contain_text(before.strip()[:40])
    wait_for(answer(page, "sim/slow"), "finished")
    whole = answer(page, "sim/slow").locator(".markdown").inner_text()
    assert whole.startswith(before.strip())
    page.reload()
    expect(answer(page, "sim/slow").locator(".markdown")).to_have_text(whole)


def test_a_page_opened_before_the_tables_have_a_picture_shows_its_place_and_then_the_picture(
    page: Page, whole: Address
) -> None:
    identity = answered(whole, "Draw a red circle", "sim/painter")
    stored = f"**/api/v1/conversations/{identity}"
    streams = re.compile("/(events|streams/me)")

    def behind(route: Route) -> None:
        """What the tables say of a turn that is finished before its picture has come to them."""
        told = route.fetch().json()
        for message in told["turns"][0]["messages"]:
            media, message["media_urls"] = message["media_urls"] or [], None
            message["pending_media"] = [
                {"media_id": one["media_id"], "type": one["type"], "status": "uploading"} for one in media
            ]
        route.fulfill(json=told)

    page.route(stored, behind)
    page.route(streams, lambda route: route.abort())
    page.goto(f"/c/{identity}")
    place = answer(page, "sim/painter").locator(".media-container")
    expect(place).to_have_text("Picture is being checked and stored…")
    moving = "one => getComputedStyle(one).animationName"
    assert place.locator("p").evaluate(moving) != "none"
    page.emulate_media(reduced_motion="reduce")
    assert place.locator("p").evaluate(moving) == "none"
    # The stream knows it already.
    page.unroute(streams)
    expect(place).to_have_attribute("data-phase", "ready")
    # So do the tables, in the end.
    page.route(streams, lambda route: route.abort())
    page.reload()
    expect(place).to_have_attribute("data-phase", "pending")
    page.unroute(stored)
    expect(place).to_have_attribute("data-phase", "ready")
    picture = place.get_by_role("img")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())


def test_stop_keeps_what_was_said_and_retry_asks_again(page: Page) -> None:
    identity = ask(page, "Count slowly", "sim/slow", "sim/text")
    slow = answer(page, "sim/slow")
    # It is in the list as soon as it has a title, and not when its last model has ended.
    listed = page.get_by_role("navigation", name="Conversations").locator(f'a[href="/c/{identity}"]')
    expect(listed).to_be_visible()
    expect(slow.locator(".markdown")).not_to_be_empty()
    page.get_by_role("button", name="Stop sim/slow").click()
    wait_for(slow, "cancelled")
    expect(slow.get_by_text("Stopped. What it had said is kept.")).to_be_visible()
    wait_for(answer(page, "sim/text"), "finished")
    page.get_by_role("button", name="Retry sim/text").click()
    expect(page.get_by_role("article", name="sim/text")).to_have_count(2)
    wait_for(answer(page, "sim/text"), "finished")


def test_a_failed_model_says_so_and_the_others_go_on(page: Page) -> None:
    ask(page, "Try it", "sim/refused", "sim/text")
    wait_for(answer(page, "sim/refused"), "failed")
    expect(answer(page, "sim/refused").locator(".failure")).not_to_be_empty()
    wait_for(answer(page, "sim/text"), "finished")


def test_follow_up_one_more_model_breakout_and_branch(page: Page) -> None:
    first = ask(page, "First question", "sim/text", "sim/reasoning")
    wait_for(answer(page, "sim/text"), "finished")
    wait_for(answer(page, "sim/reasoning"), "finished")
    page.get_by_role("button", name="Ask one more model").click()
    page.get_by_role("combobox", name="One more model").select_option("sim/painter")
    page.get_by_role("button", name="Ask it").click()
    wait_for(answer(page, "sim/painter"), "finished")

    page.get_by_role("textbox", name="Prompt", exact=True).fill("Second question")
    page.get_by_role("button", name=re.compile("^Ask 3 models")).click()
    expect(page.get_by_role("region", name="Turn")).to_have_count(2)
    for model in ("sim/text", "sim/reasoning", "sim/painter"):
        wait_for(answer(page, model), "finished")

    page.get_by_role("region", name="Turn").first.get_by_role("button", name="Edit and branch").click()
    page.get_by_role("textbox", name="Prompt", exact=True).fill("First question, put otherwise")
    choose(page, "sim/text")
    page.get_by_role("button", name=re.compile(r"^Ask( \d+ models)?$")).click()
    page.wait_for_url(lambda url: "/c/" in url and first not in url)
    wait_for(answer(page, "sim/text"), "finished")
    expect(page.get_by_role("region", name="Turn")).to_have_count(1)

    page.goto(f"/c/{first}")
    page.get_by_role("button", name="Break out with sim/text").first.click()
    page.wait_for_url(lambda url: "/c/" in url and first not in url)
    expect(page.get_by_role("article", name="sim/text").first).to_be_visible()
    expect(page.get_by_role("article", name="sim/reasoning")).to_have_count(0)


def test_a_follow_up_goes_to_those_who_answered_last_and_its_estimate_counts_the_past(
    page: Page, whole: Address
) -> None:
    identity = answered(whole, "First", "sim/reasoning", "sim/text")
    page.goto(f"/c/{identity}")
    wait_for(answer(page, "sim/text"), "finished")
    with page.expect_request("**/api/v1/estimate") as asked:
        page.get_by_role("textbox", name="Prompt", exact=True).fill("Second")
    body = asked.value.post_data_json
    assert body["conversation_id"] == identity
    assert body["models"] == ["sim/reasoning", "sim/text"]
    page.get_by_role("button", name="Ask 2 models").click()
    expect(page.get_by_role("region", name="Turn")).to_have_count(2)


def test_what_a_prompt_was_sent_with_stays_with_it(page: Page) -> None:
    page.goto("/")
    choose(page, "sim/text")
    page.get_by_text("System prompt").first.click()
    page.get_by_role("textbox", name="System prompt").fill("Be brief.")
    page.locator("input[type=file]").set_input_files(
        {"name": "plain.png", "mimeType": "image/png", "buffer": plain()}
    )
    page.get_by_role("textbox", name="Prompt", exact=True).fill("What is this?")
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_for(answer(page, "sim/text"), "finished")
    page.reload()
    turn = page.get_by_role("region", name="Turn")
    picture = turn.get_by_role("img", name="Attached picture 1")
    expect(picture).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    turn.get_by_text("System prompt").click()
    expect(turn.get_by_text("Be brief.")).to_be_visible()


def test_rename_pin_and_delete_a_conversation(page: Page) -> None:
    identity = ask(page, "To be thrown away", "sim/painter")
    wait_for(answer(page, "sim/painter"), "finished")
    rows = page.get_by_role("navigation", name="Conversations")
    row = rows.get_by_role("listitem").filter(has=page.locator(f'a[href="/c/{identity}"]'))
    row.hover()
    rename = row.get_by_role("button", name=re.compile("^Rename"))
    rename.click()
    page.keyboard.press("Escape")
    expect(rename).to_be_focused()
    rename.click()
    rows.get_by_role("textbox", name="Title").fill("A better name")
    rows.get_by_role("button", name="Save").click()
    expect(rows.get_by_role("link", name="A better name")).to_be_visible()
    expect(rename).to_be_focused()
    row.hover()
    row.get_by_role("button", name=re.compile("^Pin")).click()
    expect(row.get_by_label("pinned")).to_be_visible()
    row.hover()
    row.get_by_role("button", name=re.compile("^Delete")).click()
    row.get_by_role("button", name="Delete", exact=True).click()
    expect(rows.get_by_role("link", name="A better name")).to_have_count(0)
    page.goto(f"/c/{identity}")
    expect(page.get_by_role("alert").first).to_be_visible()
