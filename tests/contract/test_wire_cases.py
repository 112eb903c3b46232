"""Every wire case has a switch in the simulator that works, and exact events that the gateway client makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from polylogue.simulator import cases_page
from polylogue.simulator.app import create_runner
from polylogue.simulator.case_switch import PRODUCERS
from polylogue.simulator.cases import CASES, MODELS, Case
from polylogue.simulator.media import png
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import Finished, GatewayEvent, MediaBytes, UpstreamError
from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.gateway.request import AudioRequest, ChatRequest, Message
from tests.unit.gateway.cases import EXPECTED
from tests.unit.gateway.cases.expected import joined

KEY = "right"
# Only cases that stall or never end wait for these.
PATIENCE_S = 0.5
LINE_LIMIT = 1024 * 1024


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    runner = create_runner(key=KEY)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Early:
    """Wants all that looks like a medium; what it is given changes no event."""

    def __init__(self) -> None:
        self.begun = 0
        self.data = bytearray()

    def begin(self, _: Prefix) -> bool:
        self.begun += 1
        return True

    async def add(self, data: bytes) -> bool:
        await asyncio.sleep(0)
        self.data += data
        return True


def question(case: Case) -> ChatRequest:
    wanted = EXPECTED[case.id]
    return ChatRequest(
        model=case.switch + (f":size={wanted.size}" if wanted.size else ""),
        messages=(Message("user", "Draw a red circle"),),
        audio=AudioRequest("alloy", wanted.audio_format) if wanted.audio_format else None,
    )


def wanted_events(case: Case, origin: str) -> list[GatewayEvent]:
    wanted = EXPECTED[case.id]
    if not callable(wanted.events):
        return wanted.events
    return wanted.events(wanted.size or origin)  # type: ignore[arg-type]


def without_wait(event: GatewayEvent) -> GatewayEvent:
    return msgspec.structs.replace(event, retry_after_s=None) if isinstance(event, UpstreamError) else event


def test_every_case_has_a_switch_and_expected_events_and_nothing_is_left_over():
    assert set(PRODUCERS) == set(CASES)
    assert set(EXPECTED) == set(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_the_switch_gives_exactly_the_events_of_the_case(case: Case, origin: str):
    wanted, events = EXPECTED[case.id], []
    async with Gateway(
        base_url=f"{origin}/api/v1",
        api_key=KEY,
        first_byte_timeout_s=PATIENCE_S if case.id == "stall-before-first-byte" else 30,
        idle_timeout_s=PATIENCE_S if case.id == "stall-mid-answer" else 30,
        max_media_bytes=LINE_LIMIT,
        video_poll_interval_s=0.01,
        video_deadline_s=PATIENCE_S if case.id == "video-never-ends" else 30,
    ) as gateway:
        assert MODELS[case.endpoint] in {model.id for model in await gateway.models()}
        async with contextlib.aclosing(gateway.stream(question(case), early=Early())) as stream:
            async for batch in stream:
                events += batch
                if wanted.leave_after is not None and len(events) >= wanted.leave_after:
                    break
    expected = wanted_events(case, origin)
    assert [without_wait(event) for event in joined(events)] == [
        without_wait(event) for event in joined(expected)
    ]
    for event, other in zip(events[-1:], expected[-1:], strict=True):
        if isinstance(event, UpstreamError) and isinstance(other, UpstreamError):
            assert (event.retry_after_s is None) == (other.retry_after_s is None)
            # Dates count whole seconds, and some time has passed.
            assert event.retry_after_s is None or 0 <= event.retry_after_s <= 2


async def test_a_line_of_thirty_megabytes_comes_whole(origin: str):
    early = Early()
    request = ChatRequest(model=CASES["framing-large-line"].switch, messages=(Message("user", "Hello"),))
    async with Gateway(base_url=f"{origin}/api/v1", api_key=KEY) as gateway:
        async with contextlib.aclosing(gateway.stream(request, early=early)) as stream:
            medium, end = [event async for batch in stream for event in batch]
    assert isinstance(medium, MediaBytes)
    assert len(medium.data) >= 22_500_000
    assert early.begun == 1
    assert len(early.data) > 20_000_000
    assert medium.data.startswith(early.data)
    assert medium.sha256 == hashlib.sha256(png("a red circle", 1, 22_500_000)).hexdigest()
    assert isinstance(end, Finished)


async def test_whoever_leaves_in_mid_picture_is_counted(origin: str):
    case = CASES["resource-client-gone"]
    async with Gateway(base_url=f"{origin}/api/v1", api_key=KEY) as gateway:
        async with contextlib.aclosing(gateway.stream(question(case))) as stream:
            await anext(stream)
    async with aiohttp.ClientSession() as session:
        aborted = 0
        while not aborted:
            async with session.get(f"{origin}/sim/stats") as response:
                aborted = (await response.json())["aborted"]
    assert aborted == 1


def test_the_page_about_the_simulator_lists_every_case():
    assert cases_page.is_fresh(), "run: python -m polylogue.simulator.cases_page"
    page = cases_page.PAGE.read_text(encoding="utf-8")
    assert all(case.switch in page and case.meaning in page for case in CASES.values())


def test_a_stale_page_is_found_and_mended(tmp_path: Path):
    page = tmp_path / "simulator.md"
    page.write_text(f"# Mine\n\n{cases_page.BEGIN}\nold\n{cases_page.END}\nrest\n", encoding="utf-8")
    assert not cases_page.is_fresh(page)
    cases_page.write(page)
    assert cases_page.is_fresh(page)
    assert page.read_text(encoding="utf-8").startswith("# Mine\n")
    assert page.read_text(encoding="utf-8").endswith("rest\n")
