"""Follows a turn to its end for `ask` and `watch`: frames into a view, Ctrl-C into a stop or a farewell."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from polylogue.cli.plain import JsonView, PlainView, View
from polylogue.client import ClientError, Comparison, PolylogueClient, Received

EVERY_MODEL_FAILED = 1
DETACHED = 130  # as a shell reports a command that Ctrl-C has ended
TICK_S = 0.1
STOP_REQUEST_S = 2.0


def choose_view(*, as_json: bool, no_color: bool, measured: bool) -> View:
    """JSON where it is asked for, columns on a terminal, plain lines otherwise."""
    import sys

    if as_json:
        return JsonView()
    if not sys.stdout.isatty():
        return PlainView(measured=measured)
    from rich.console import Console

    from polylogue.cli.live import LiveView

    return LiveView(Console(no_color=True if no_color else None, highlight=False), measured=measured)


class Following:
    """One turn, followed until it is complete or until we are asked to let go."""

    def __init__(self, view: View, *, stop: Callable[[str], Awaitable[None]] | None = None) -> None:
        """`stop` is called with the conversation's id at the first Ctrl-C; without it, the first one detaches."""
        self.comparison = Comparison(begun_at_s=time.monotonic())
        self._view = view
        self._stop = stop
        self._interrupts = 0
        self._stopping: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def run(self, stream: AsyncIterator[Received]) -> int:
        """Returns the exit code. Raises ClientError."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        self._reading = asyncio.create_task(self._read(stream))
        ticking = asyncio.create_task(self._tick())
        try:
            await asyncio.wait([self._reading])
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            ticking.cancel()
            if self._stopping is not None:
                # Who leaves without waiting for the end still wants the models stopped.
                await asyncio.wait([self._stopping], timeout=STOP_REQUEST_S)
                self._stopping.cancel()
            self._view.finish(self.comparison)
        if self._reading.cancelled():
            self._farewell()
            return DETACHED
        await self._reading
        return EVERY_MODEL_FAILED if self.comparison.every_model_failed else 0

    async def _read(self, stream: AsyncIterator[Received]) -> None:
        async with aclosing(stream) as frames:  # type: ignore[type-var]  # it is a generator; the type says less
            async for received in frames:
                changed = self.comparison.apply(received.frame, time.monotonic())
                self._view.show(received, changed, self.comparison)

    async def _tick(self) -> None:
        tick = getattr(self._view, "tick", None)
        while tick is not None:
            await asyncio.sleep(TICK_S)
            tick()

    def _interrupted(self) -> None:
        self._interrupts += 1
        conversation_id = self.comparison.conversation_id
        if self._stop is None or conversation_id is None or self._interrupts > 1:
            if self._reading is not None:
                self._reading.cancel()
            return
        self._view.say("Stopping the models; Ctrl-C again leaves without waiting for the end.")
        self._stopping = asyncio.create_task(self._stop_models(self._stop(conversation_id)))

    async def _stop_models(self, request: Awaitable[None]) -> None:
        try:
            await request
        except ClientError as error:
            self._view.say(f"The models could not be stopped: {error}")

    def _farewell(self) -> None:
        if self.comparison.conversation_id is not None:
            self._view.say(f"To go on reading: polylogue watch {self.comparison.conversation_id}")


async def save_media(client: PolylogueClient, comparison: Comparison, directory: Path, view: View) -> None:
    """Downloads every stored medium of the turn; says which file each is."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)

    async def save(url: str, target: Path) -> None:
        try:
            size = await client.download(url, target)
        except ClientError as error:
            view.say(f"{target.name} was not saved: {error}")
        else:
            view.say(f"Saved {target} ({size} bytes)")

    await asyncio.gather(*(save(url, directory / name) for name, url in file_names(comparison)))


def file_names(comparison: Comparison) -> list[tuple[str, str]]:
    """A name that says whose it is and that no other medium has, and the URL, of each stored medium."""
    return [
        (f"{_safe(answer.model)}-{_safe(medium.media_id)}.{_safe(medium.format or 'bin')}", medium.url)
        for answer, medium in comparison.media
        if medium.state == "stored" and medium.url
    ]


def _safe(text: str) -> str:
    """`text` as part of a file name: no folder, no hidden file, nothing a shell would read."""
    return (
        "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in text).lstrip(".") or "-"
    )
