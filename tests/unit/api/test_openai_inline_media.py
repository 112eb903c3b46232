"""Media as data URLs: all answers of a process together hold no more than the budget, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.openai import inline_media
from polylogue.api.openai.answer import WholeAnswer
from polylogue.api.openai.inline_media import MOST_BYTES, InlineMedia
from polylogue.api.openai.media_budget import HELD_BYTES, MediaBudget
from polylogue.api.translated_stream import TranslatedStream
from polylogue.schemas.frames import KeepaliveFrame, MediaFrame

SERVICES: Any = None


def picture(size: int = 10) -> MediaFrame:
    return MediaFrame(
        id="1",
        conversation_id="c",
        turn_id="t",
        model="sim/painter",
        response_id="t-1",
        media_id="m",
        media_type="image",
        url="https://media.example/m",
        format="png",
        content_type="image/png",
        size_bytes=size,
        media_url="https://media.example/m",
        media_format="png",
    )


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(_services: Any, _owner: str, frame: MediaFrame) -> bytes:
        await asyncio.sleep(0)
        return b"x" * frame.size_bytes

    monkeypatch.setattr(inline_media, "_read", read)


def url_of(frame: Any) -> str:
    assert isinstance(frame, MediaFrame)
    return frame.url


async def turns_of_the_loop() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_is_read_than_may_be_held_and_the_next_is_once_some_is_let_go() -> None:
    budget = MediaBudget(25)
    first, second, third = (InlineMedia(SERVICES, "me", budget) for _ in range(3))
    assert url_of(await first.seen(picture())).startswith("data:image/png;base64,")
    await second.seen(picture())
    waiting = asyncio.create_task(third.seen(picture()))
    await turns_of_the_loop()
    assert not waiting.done()
    assert budget.free == 5
    first.let_go()
    first.let_go()
    assert url_of(await waiting).startswith("data:")
    second.let_go()
    third.let_go()
    assert budget.free == 25


async def test_what_others_hold_for_too_long_leaves_a_medium_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline_media, "BUDGET_S", 0.01)
    budget = MediaBudget(15)
    first, second = (InlineMedia(SERVICES, "me", budget) for _ in range(2))
    await first.seen(picture())
    assert await second.seen(picture()) == picture()
    second.let_go()
    assert budget.free == 5
    first.let_go()
    assert url_of(await second.seen(picture())).startswith("data:")


async def test_an_answer_that_holds_the_budget_itself_does_not_wait_for_itself() -> None:
    budget = MediaBudget(15)
    media = InlineMedia(SERVICES, "me", budget)
    await media.seen(picture())
    async with asyncio.timeout(5):
        assert await media.seen(picture()) == picture()


async def test_what_is_too_large_or_no_medium_takes_nothing() -> None:
    budget = MediaBudget(HELD_BYTES)
    media = InlineMedia(SERVICES, "me", budget)
    large = picture(MOST_BYTES + 1)
    assert await media.seen(large) is large
    await media.seen(KeepaliveFrame())
    assert budget.free == HELD_BYTES >= MOST_BYTES


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12))
def test_whoever_leaves_while_waiting_takes_nothing_along(asked: list[tuple[int, bool]]) -> None:
    async def run() -> None:
        budget = MediaBudget(30)
        held = 0

        async def hold(size: int) -> None:
            nonlocal held
            await budget.take(size)
            held += size
            assert held <= 30
            await asyncio.sleep(0)
            held -= size
            budget.give(size)

        tasks = []
        for size, leaves in asked:
            task = asyncio.create_task(hold(size))
            tasks.append((task, leaves))
        await asyncio.sleep(0)
        for task, leaves in tasks:
            if leaves and held == 0:
                task.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert [task for task, _ in tasks if not task.cancelled() and task.exception()] == []
        assert budget.free == 30

    asyncio.run(run())


class Turn:
    """One medium and the end."""

    async def frames(self) -> Any:
        yield picture()

    def leave(self) -> None:
        pass


class Words:
    """Says nothing but how much of the budget is held when it is asked."""

    over, refusal = False, None

    def __init__(self, budget: MediaBudget) -> None:
        self.budget, self.free = budget, list[int]()

    def begin(self) -> list[dict[str, Any]]:
        return []

    def take(self, _frame: Any) -> list[dict[str, Any]]:
        self.free.append(self.budget.free)
        return [{}]

    def cut(self) -> list[dict[str, Any]]:
        self.free.append(self.budget.free)
        return []

    def body(self) -> dict[str, Any]:
        self.free.append(self.budget.free)
        return {}


@pytest.mark.parametrize(("form", "at_the_end"), [(TranslatedStream, 15), (WholeAnswer, 5)])
async def test_a_stream_lets_go_once_it_has_written_and_a_whole_answer_at_its_end(
    form: Any, at_the_end: int
) -> None:
    budget = MediaBudget(15)
    media, words = InlineMedia(SERVICES, "me", budget), Words(budget)

    async def gone() -> None:
        pass

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["body"] == b"data: {}\n\n":
            assert budget.free == 5

    answer = form(Turn(), words, headers={}, gone=gone, seen=media.seen, let_go=media.let_go)
    await answer({"type": "http", "app": SimpleNamespace()}, receive, send)
    assert words.free == [5, at_the_end]
    assert budget.free == 15
