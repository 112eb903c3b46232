"""Signing in where the server wants it: by a key, by a link that works once, and out again; nothing secret stays in the page."""

from __future__ import annotations

import re
import subprocess
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from polylogue.infra.local.stack import LocalStack, environment
from tests.browser.axe import in_both_schemes
from tests.browser.conftest import PATIENCE_MS
from tests.browser.steps import answer, ask, visit, wait_for
from tests.support.processes import free_port
from tests.support.whole_run import POLYLOGUE, STOP_S, Address, clean_environment, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

START_S = 60.0


@dataclass
class Guarded(Address):
    """A second API on the same servers, which wants a sign-in."""

    environment: dict[str, str]

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [*POLYLOGUE, *words], env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def answers(self) -> bool:
        try:
            return self.text("/healthz") != ""
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*POLYLOGUE, *words], env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)


@pytest.fixture(scope="module")
def guarded(whole: Address) -> Iterator[Guarded]:
    port, models = free_port(), free_port()
    data_dir: Path = getattr(whole, "data_dir", Path(".polylogue"))
    given = environment(LocalStack(data_dir).endpoints()) | {
        "AUTH": "keys",
        "PORT": str(port),
        # For the list of models; the answers come from the runner of the whole system.
        "OPENROUTER_BASE_URL": f"http://127.0.0.1:{models}/v1",
        "OPENROUTER_API_KEY": "any",
    }
    made = Guarded(f"http://127.0.0.1:{port}", clean_environment() | given)
    with (
        running(made.environment, "simulator", "--port", str(models)),
        running(made.environment, "api"),
    ):
        assert eventually(made.answers, START_S)
        made.command("users", "add", "ada")
        yield made


@pytest.fixture
def stranger(browser: Browser, guarded: Guarded) -> Iterator[Page]:
    context = browser.new_context(base_url=guarded.url)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def key_of(guarded: Guarded) -> str:
    found = re.search(r"plg_[\w-]+", guarded.command("keys", "create", "ada", "--scopes", "read,write"))
    assert found is not None
    return found[0]


def test_a_key_opens_the_page_and_stays_nowhere_in_it(stranger: Page, guarded: Guarded) -> None:
    key = key_of(guarded)
    stranger.goto("/")
    box = stranger.get_by_label("Key")
    expect(box).to_be_visible()
    assert not (found := in_both_schemes(stranger, "sign-in")), "\n".join(found)
    box.fill(f"{key}x")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    assert not (found := in_both_schemes(stranger, "refused")), "\n".join(found)
    box.fill(key)
    stranger.keyboard.press("Enter")
    expect(box).to_be_hidden()
    ask(stranger, "Am I known?", "sim/text")
    wait_for(answer(stranger, "sim/text"), "finished")
    kept = stranger.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, document.body.innerHTML])"
    )
    assert key.split("_", 2)[2] not in kept
    assert "Am I known?" in kept
    stranger.reload()
    wait_for(answer(stranger, "sim/text"), "finished")
    stranger.goto("/settings")
    expect(stranger.get_by_text("Signed in as ada.")).to_be_visible()
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_label("Key")).to_be_visible()
    expect(stranger.get_by_text("Am I known?")).to_have_count(0)


def test_a_link_signs_in_once_and_leaves_the_address_clean(
    stranger: Page, browser: Browser, guarded: Guarded
) -> None:
    link = guarded.command("users", "link", "ada", "--url", guarded.url).split()[-1]
    stranger.goto(link)
    expect(stranger).to_have_url(f"{guarded.url}/")
    expect(stranger.get_by_role("heading", level=1)).to_contain_text("Ask several models")
    visit(stranger, "/settings")
    expect(stranger.get_by_text("Signed in as ada.")).to_be_visible()
    # Who is signed in uses no second one up, and keeps it out of the address all the same.
    stranger.goto(link)
    expect(stranger).to_have_url(f"{guarded.url}/")
    late = browser.new_page(base_url=guarded.url)
    late.goto(link)
    expect(late.get_by_role("alert")).to_be_visible()
    expect(late.get_by_role("navigation", name="Conversations")).to_have_count(0)
    late.close()
