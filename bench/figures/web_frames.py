"""How smoothly twelve streams are drawn in a real browser, how soon the UI is there, and how much script it takes."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

from playwright.async_api import Page, Route, async_playwright

from bench.figure import RUNS, Figure, Series, Table, Target, percentile
from bench.processes import BenchError, data_directory, system

MODELS = 12
TOKENS_S = 100
SECONDS = 10
QUICK_SECONDS = 2
WANTED_FRAME_MS = Target(16)
WANTED_SCRIPT_KB = Target(200)
DIST = Path(__file__).parents[2] / "web" / "dist"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# In place of the server's stream: every model writes a token each 10 ms, of prose with lists, code and a table.
SCRIPTED = """
({models, tokensS, seconds}) => {
  const words = ('The answer **depends** on what one means by it.\\n\\n- a point\\n- another `one`\\n\\n'
    + '```python\\nfor n in range(3):\\n    print(n)\\n```\\n\\n| a | b |\\n| - | - |\\n| 1 | 2 |\\n\\n').match(/\\s*\\S+/g);
  const real = window.fetch;
  const place = {conversation_id: 'c'.repeat(32), turn_id: 't'.repeat(32)};
  let number = 0;
  const frame = (one) => `data: ${JSON.stringify({...one, ...place, id: String(++number).padStart(12, '0')})}\\n\\n`;
  const of = (n) => ({model: `bench/${n}`, response_id: `${place.turn_id}-${n}`});
  const each = (make) => Array.from({length: models}, (_, n) => frame({...make(n), ...of(n + 1)})).join('');
  const body = () => new ReadableStream({start(to) {
    const encoder = new TextEncoder();
    const write = (text) => to.enqueue(encoder.encode(text));
    write(frame({type: 'turn', prompt: 'Bench', models: []}) + each(() => ({type: 'start', attempt: 1})));
    const began = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(tokensS * seconds, Math.floor((performance.now() - began) * tokensS / 1000));
      for (; sent < due; sent += 1) write(each(() => ({type: 'chunk', content: words[sent % words.length]})));
      if (sent < tokensS * seconds) return;
      clearInterval(timer);
      write(each(() => ({type: 'done', error: false, finish_reason: 'stop'})) + frame({type: 'complete', metadata: {}}));
      to.close();
    }, 1000 / tokensS);
  }});
  let streamed = false;
  window.fetch = (url, init) => {
    const path = String(url);
    if (path.endsWith('/compare-stream')) {
      return Promise.resolve(new Response(frame({type: 'turn', prompt: 'Bench', models: []}), {status: 200}));
    }
    if (path.includes('/events')) {
      if (streamed) return Promise.resolve(new Response(null, {status: 204}));
      streamed = true;
      return Promise.resolve(new Response(body(), {status: 200}));
    }
    return real(url, init);
  };
}
"""
# The time of the main thread's work in a frame: from its start to when all that it caused is laid out and painted.
MEASURE = """
() => {
  window.frames_ms = [];
  window.gaps_ms = [];
  let last = 0;
  const tick = (now) => {
    const from = performance.now();
    if (last) window.gaps_ms.push(now - last);
    last = now;
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => window.frames_ms.push(performance.now() - from);
    port2.postMessage(null);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
"""


async def run(quick: bool) -> list[Series]:
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is missing; run: apt-get install chromium")
    table = Table()
    table.add("script of the first load, gzip", "KB", script_kb(), WANTED_SCRIPT_KB)
    with data_directory() as directory, system(directory) as running:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
            for _ in range(1 if quick else RUNS):
                context = await browser.new_context(
                    base_url=running.url, viewport={"width": 1600, "height": 1000}
                )
                await measured(table, await context.new_page(), QUICK_SECONDS if quick else SECONDS)
                await context.close()
            await browser.close()
    return table.series()


async def measured(table: Table, page: Page, seconds: int) -> None:
    """One visit: the first paint, then twelve answers."""
    await page.add_init_script(
        f"({SCRIPTED})({json.dumps({'models': MODELS, 'tokensS': TOKENS_S, 'seconds': seconds})})"
    )
    names = [f"bench/{n}" for n in range(1, MODELS + 1)]
    await page.add_init_script(f"localStorage.setItem('polylogue:models', {json.dumps(json.dumps(names))})")
    await page.route(re.compile("/api/v1/(estimate|conversations/c+)$"), _absent)
    await page.goto("/")
    box = page.get_by_role("textbox", name="Prompt", exact=True)
    await box.wait_for()
    told: dict[str, Any] = await page.evaluate(
        "() => ({paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0, now: performance.now()})"
    )
    table.add("first contentful paint", "ms", told["paint"])
    table.add("the prompt box can be written into", "ms", told["now"])
    await box.fill("Bench")
    await page.evaluate(MEASURE)
    await page.get_by_role("button", name=f"Ask {MODELS} models").click()
    await page.locator("article[data-phase=finished]").nth(MODELS - 1).wait_for(timeout=120_000)
    spent: list[float] = await page.evaluate("() => window.frames_ms")
    gaps: list[float] = await page.evaluate("() => window.gaps_ms")
    table.add("work of a frame, median", "ms", percentile(spent, 50))
    table.add("work of a frame, p95", "ms", percentile(spent, 95), WANTED_FRAME_MS)
    table.add("from frame to frame, median", "ms", percentile(gaps, 50))
    table.add("from frame to frame, p95", "ms", percentile(gaps, 95))


async def _absent(route: Route) -> None:
    await route.fulfill(
        status=404, content_type="application/json", body='{"detail": "Bench.", "code": "not_found"}'
    )


def script_kb() -> float:
    """What index.html names, packed as a server would."""
    page = DIST / "index.html"
    if not page.is_file():
        raise BenchError("The web UI is not built; run: make web")
    names = re.findall(r'(?:src|href)="/(assets/[^"]+\.js)"', page.read_text(encoding="utf-8"))
    return sum(len(gzip.compress((DIST / name).read_bytes())) for name in names) / 1000


FIGURE = Figure(
    "web_frames",
    f"In Chromium without a GPU, {MODELS} answers of {TOKENS_S} tokens a second each for {SECONDS} s, written by a script "
    "in the page in place of the network, with lists, code and tables. Work of a frame: from the start of the frame's "
    "callbacks to the first task after its paint. First load: from the navigation, over loopback.",
    run,
)
