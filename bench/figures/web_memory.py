"""What a page weighs with two hundred answers and a picture in each, after all of them were looked at."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
from typing import Any

import psutil
from PIL import Image
from playwright.async_api import Browser, Page, Route, async_playwright

from bench.figure import RUNS, Figure, Series, Table
from bench.figures.web_frames import FLAGS
from bench.processes import BenchError, data_directory, system

TURNS, ANSWERS = 100, 2
SIDE_PX, THUMBNAIL_PX = 1024, 320
LOOK_EVERY_S = 1.0
MODELS = [f"bench/{n}" for n in range(1, ANSWERS + 1)]
CONVERSATION = "c" * 32
TEXT = (
    "The answer **depends** on what one means by it.\n\n- a point\n- another `one`\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n"
    * 3
)
AT = "2026-01-02T03:04:05Z"


async def run(quick: bool) -> list[Series]:
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is missing; run: apt-get install chromium")
    table = Table()
    with data_directory() as directory, system(directory) as running:
        async with async_playwright() as playwright:
            for _ in range(1 if quick else RUNS):
                # A browser for each run: a renderer keeps what it has once taken.
                browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
                page = await browser.new_page(base_url=running.url, viewport={"width": 1400, "height": 900})
                await measured(table, browser, page)
                await browser.close()
    return table.series()


async def measured(table: Table, browser: Browser, page: Page) -> None:
    await page.route(re.compile(f"/api/v1/conversations/{CONVERSATION}$"), _conversation)
    await page.route(re.compile("/bench-media/"), _picture)
    await page.goto("/")
    await page.get_by_role("textbox", name="Prompt", exact=True).wait_for()
    await _weigh(table, browser, page, "an empty page")
    await page.goto(f"/c/{CONVERSATION}")
    last = page.locator("article").nth(TURNS * ANSWERS - 1)
    await last.wait_for(state="attached")
    await page.evaluate(
        """async () => {
            for (const card of document.querySelectorAll('article')) {
                card.scrollIntoView();
                const picture = card.querySelector('img');
                if (!picture.complete) await new Promise((done) => { picture.onload = picture.onerror = done; });
                await picture.decode();
            }
        }"""
    )
    seen = f"{TURNS * ANSWERS} answers with a picture each"
    await _weigh(table, browser, page, seen)
    # The browser keeps decoded pictures for as long as nobody else wants the memory.
    inside = await page.context.new_cdp_session(page)
    await inside.send("Memory.simulatePressureNotification", {"level": "critical"})
    kept = f"{seen}, when memory runs short: the page's process"
    table.add(kept, "MB", await _settled(browser) / 1e6)


async def _weigh(table: Table, browser: Browser, page: Page, what: str) -> None:
    inside = await page.context.new_cdp_session(page)
    await inside.send("HeapProfiler.enable")
    await inside.send("HeapProfiler.collectGarbage")
    await inside.send("Performance.enable")
    metrics = {one["name"]: one["value"] for one in (await inside.send("Performance.getMetrics"))["metrics"]}
    table.add(f"{what}: objects of scripts", "MB", metrics["JSHeapUsedSize"] / 1e6)
    table.add(f"{what}: nodes", "", metrics["Nodes"])
    table.add(f"{what}: the page's process", "MB", await _resident(browser) / 1e6)


async def _resident(browser: Browser) -> int:
    """Bytes of the largest renderer."""
    outside = await browser.new_browser_cdp_session()
    processes = (await outside.send("SystemInfo.getProcessInfo"))["processInfo"]
    await outside.detach()
    return max(psutil.Process(one["id"]).memory_info().rss for one in processes if one["type"] == "renderer")


async def _settled(browser: Browser) -> int:
    """Once nothing more is given back."""
    before, now = 0, await _resident(browser)
    while now != before:
        await asyncio.sleep(LOOK_EVERY_S)
        before, now = now, min(now, await _resident(browser))
    return now


async def _conversation(route: Route) -> None:
    body = {
        "conversation_id": CONVERSATION,
        "title": "Bench",
        "pinned": False,
        "status": "idle",
        "turn_running": False,
        "created_at": AT,
        "updated_at": AT,
        "turns": [_turn(number) for number in range(TURNS)],
    }
    await route.fulfill(content_type="application/json", body=json.dumps(body))


def _turn(number: int) -> dict[str, Any]:
    turn = f"{number:032x}"
    return {
        "turn_id": turn,
        "prompt": f"Question {number}",
        "system": None,
        "round": 1,
        "finished": True,
        "rating": None,
        "created_at": AT,
        "messages": [_message(turn, model, number * ANSWERS + at) for at, model in enumerate(MODELS)],
    }


def _message(turn: str, model: str, number: int) -> dict[str, Any]:
    picture = {
        "media_id": f"{number:032x}",
        "url": f"/bench-media/{number}/{SIDE_PX}",
        "type": "image",
        "format": "jpeg",
        "content_type": "image/jpeg",
        "size_bytes": 50_000,
        "width": SIDE_PX,
        "height": SIDE_PX,
        "status": "stored",
        "renditions": [_rendition(number, "webp", SIDE_PX), _rendition(number, "thumbnail", THUMBNAIL_PX)],
    }
    return {
        "message_id": f"{turn}-{number % ANSWERS + 1}",
        "role": "assistant",
        "model_id": model,
        "content": TEXT,
        "reasoning": None,
        "media_urls": [picture],
        "missing_media": [],
        "status": "completed",
        "finish_reason": "stop",
        "error_message": None,
        "retryable": None,
        "usage": None,
        "cost_usd_micros": 0,
        "time_to_first_token_ms": 10,
        "duration_ms": 100,
        "created_at": AT,
        "completed_at": AT,
    }


def _rendition(number: int, name: str, side: int) -> dict[str, Any]:
    return {
        "name": name,
        "url": f"/bench-media/{number}/{side}",
        "content_type": "image/webp",
        "size_bytes": 20_000,
        "width": side,
        "height": side,
    }


async def _picture(route: Route) -> None:
    """Another one for each address, so that the browser cannot keep one for all."""
    number, side = map(int, route.request.url.rsplit("/", 2)[1:])
    drawn = io.BytesIO()
    Image.linear_gradient("L").rotate(number).resize((side, side)).convert("RGB").save(drawn, "WEBP")
    await route.fulfill(content_type="image/webp", body=drawn.getvalue())


FIGURE = Figure(
    "web_memory",
    f"In Chromium without a GPU, a conversation of {TURNS} turns with {ANSWERS} answers each, every answer with text and "
    f"a picture of {SIDE_PX} × {SIDE_PX} of its own; each was scrolled to and decoded. After a collection of garbage: "
    "the objects of scripts, the nodes, and the resident memory of the page's process; then that memory once the browser "
    "was told that there is little left, since it keeps decoded pictures only until then. Beside it the empty page.",
    run,
)
