"""Ctrl-C while a turn is shown, and the exit code in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from polylogue.cli.following import DETACHED, Following
from polylogue.cli.plain import PlainView
from polylogue.client import ApiError, ClientError, Received
from polylogue.schemas.frames import Frame
from tests.unit.cli.frames import CONVERSATION, Script, received


class Scene:
    """A stream that is fed by hand, a view that is read, and stops that are counted."""

    def __init__(self, *, refused: bool = False) -> None:
        self.script = Script()
        self.lines: list[str] = []
        self.view = PlainView(measured=True, write=self.lines.append, aside=self.lines.append)
        self.stopped: list[str] = []
        self._refused = refused
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def feed(self, *frames: Frame | None) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    async def stream(self) -> AsyncIterator[Received]:
        while (frame := await self._frames.get()) is not None:
            yield received(frame)

    async def stop(self, conversation_id: str) -> None:
        self.stopped.append(conversation_id)
        if self._refused:
            raise ApiError(503, "kafka_away", "Kafka does not answer.")
        self.feed(self.script.done("a", reason="cancelled"), self.script.complete(), None)

    async def until(self, line: str) -> None:
        async with asyncio.timeout(5):
            while line not in self.lines:
                await asyncio.sleep(0)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def test_the_first_interrupt_stops_the_models_and_the_end_is_still_shown() -> None:
    scene = Scene()
    following = Following(scene.view, stop=scene.stop)
    scene.feed(scene.script.start("a"), scene.script.chunk("a", "x\n"))
    running = asyncio.create_task(following.run(scene.stream()))
    await scene.until("a | x")
    interrupt()
    assert await asyncio.wait_for(running, 5) == 0
    assert scene.stopped == [CONVERSATION]
    assert "a | stopped" in scene.lines


async def test_the_second_interrupt_leaves_and_says_how_to_come_back() -> None:
    scene = Scene(refused=True)
    following = Following(scene.view, stop=scene.stop)
    scene.feed(scene.script.start("a"), scene.script.chunk("a", "x\n"))
    running = asyncio.create_task(following.run(scene.stream()))
    await scene.until("a | x")
    interrupt()
    await scene.until("The models could not be stopped: Kafka does not answer.")
    interrupt()
    assert await asyncio.wait_for(running, 5) == DETACHED
    assert scene.lines[-1] == f"To go on reading: polylogue watch {CONVERSATION}"


async def test_a_watcher_stops_nothing_by_leaving() -> None:
    scene = Scene()
    following = Following(scene.view)
    scene.feed(scene.script.chunk("a", "x\n"))
    running = asyncio.create_task(following.run(scene.stream()))
    await scene.until("a | x")
    interrupt()
    assert await asyncio.wait_for(running, 5) == DETACHED
    assert scene.stopped == []


@pytest.mark.parametrize(("errors", "code"), [((True, True), 1), ((True, False), 0), ((False, False), 0)])
async def test_the_exit_code_says_whether_every_model_failed(errors: tuple[bool, bool], code: int) -> None:
    scene = Scene()
    scene.feed(
        *(scene.script.done(model, error=error) for model, error in zip("ab", errors, strict=True)), None
    )
    assert await Following(scene.view).run(scene.stream()) == code


async def test_an_error_of_the_client_is_raised_after_what_was_read_is_shown() -> None:
    scene = Scene()

    async def breaks() -> AsyncIterator[Received]:
        yield received(scene.script.chunk("a", "half a li"))
        raise ClientError("The API is gone.")

    with pytest.raises(ClientError, match="gone"):
        await Following(scene.view).run(breaks())
    assert scene.lines[0] == "a | half a li"
