"""How soon a picture is on the screen after its frame has reached the page, and how much of that is the page's own doing."""

from __future__ import annotations

import re
import shutil
from typing import Any

from playwright.async_api import BrowserContext, Page, async_playwright

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.figures.web_frames import FLAGS
from bench.gateway import PICTURE
from bench.pictures import MB
from bench.processes import BenchError, data_directory, gateway, system

SIZES_MB = (0.1, 1, 5)
WANTED_MS = Target(1000)
WANTED_OWN_MS = Target(100)
PATIENCE_MS = 60_000
# No model paints in no time: by then the page has long drawn the turn that it asks for.
THINK_MS = 1_000

# Reads every stream beside the page, and notes when a `media` frame has come and when its picture can be painted, in
# whichever size the page shows: every address of a medium holds its id.
WATCH = """
() => {
  window.came = {};
  window.painted = {};
  const real = window.fetch;
  const ports = [];
  const listen = async (body) => {
    const decoder = new TextDecoder();
    let rest = '';
    for (const reader = body.getReader();;) {
      const {done, value} = await reader.read();
      if (done) return;
      const at = performance.now();
      const lines = (rest + decoder.decode(value, {stream: true})).split('\\n');
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data:') || !line.includes('"media"')) continue;
        const frame = JSON.parse(line.slice(5));
        if (frame.type === 'media') window.came[frame.media_id] ??= at;
      }
    }
  };
  window.fetch = async (url, init) => {
    const answer = await real(url, init);
    // Not the answer to the prompt: the page leaves it with its first frame, and could not while somebody reads on beside.
    if (!/events|streams/.test(String(url)) || !answer.body) return answer;
    const [ours, theirs] = answer.body.tee();
    listen(ours).catch(() => undefined);
    return new Response(theirs, {status: answer.status, statusText: answer.statusText, headers: answer.headers});
  };
  document.addEventListener('load', ({target}) => {
    if (target.tagName !== 'IMG' || target.currentSrc.startsWith('blob:')) return;
    // Decoded, then the first frame that can hold it, then the first task after that frame's paint.
    target.decode().then(() => requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      ports.push(port1);  // what nobody holds may be collected before its message comes
      port1.onmessage = () => { window.painted[target.currentSrc.split('?')[0]] ??= performance.now(); };
      port2.postMessage(null);
    }));
  }, true);
}
"""
SEEN = """
() => {
  const shown = (id) => Object.keys(window.painted).find((url) => url.includes(id));
  const found = Object.keys(window.came).find(shown);
  if (!found) return null;
  const loaded = performance.getEntriesByType('resource').find((one) => one.name.startsWith(shown(found)));
  return {
    whole: window.painted[shown(found)] - window.came[found],
    loading: loaded ? loaded.responseEnd - loaded.startTime : 0,
  };
}
"""


async def run(quick: bool) -> list[Series]:
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is missing; run: apt-get install chromium")
    table = Table()
    with gateway() as models:
        named = {"OPENROUTER_BASE_URL": models, "OPENROUTER_API_KEY": "bench"}
        with data_directory() as directory, system(directory, named) as running:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
                for size in SIZES_MB:
                    for number in range(2 if quick else RUNS + 1):
                        context = await browser.new_context(base_url=running.url)
                        told = await _shown(context, int(size * MB))
                        await context.close()
                        if number == 0:
                            continue  # connections, threads and code are cold
                        own = told["whole"] - told["loading"]
                        table.add(
                            f"{size:g} MB: media frame to picture painted", "ms", told["whole"], WANTED_MS
                        )
                        table.add(f"{size:g} MB: of it loading the file", "ms", told["loading"])
                        table.add(f"{size:g} MB: of it ours", "ms", own, WANTED_OWN_MS)
                await browser.close()
    return table.series()


async def _shown(context: BrowserContext, size: int) -> dict[str, Any]:
    page: Page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    await page.add_init_script(f"({WATCH})()")
    await page.add_init_script(f"localStorage.setItem('polylogue:models', '[\"{PICTURE}\"]')")
    await page.goto("/")
    await page.get_by_role("textbox", name="Prompt", exact=True).fill(f"size={size} think_ms={THINK_MS}")
    await page.get_by_role("button", name=re.compile("^Ask")).click()
    told = await page.wait_for_function(SEEN, timeout=PATIENCE_MS)
    seen: dict[str, Any] = await told.json_value()
    return seen


FIGURE = Figure(
    "web_media",
    "In Chromium without a GPU, from the arrival of the `media` frame in the page to the first task after the paint of "
    "the frame that holds the decoded picture (PNG of noise, which packs worst). Loading the file is the browser's own "
    "measure of its request; the rest, which is ours, is drawing the tile, decoding and painting. The model takes a second, "
    "so that the page has drawn the turn by then.",
    run,
)
