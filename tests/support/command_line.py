"""The `polylogue` command in a process that runs one after another: what takes long is to start, not to run it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from polylogue.infra.settings import Settings
from tests.support.processes import environment


class Told(NamedTuple):
    code: int
    out: str
    err: str


class CommandLine:
    """Made by `command_line`."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    async def run(self, settings: Settings, *arguments: str) -> Told:
        return await asyncio.to_thread(self._run, settings, arguments)

    async def fine(self, settings: Settings, *arguments: str) -> str:
        """What it prints where all goes well."""
        told = await self.run(settings, *arguments)
        assert (told.code, told.err) == (0, ""), told
        return told.out

    async def as_json(self, settings: Settings, *arguments: str) -> Any:
        return json.loads(await self.fine(settings, *arguments, "--json"))

    def _run(self, settings: Settings, arguments: tuple[str, ...]) -> Told:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        asked = {"environment": environment(settings, COLUMNS="200"), "arguments": arguments}
        self._child.stdin.write(json.dumps(asked) + "\n")
        self._child.stdin.flush()
        return Told(*json.loads(self._child.stdout.readline()))


@contextmanager
def command_line(before: str = "") -> Iterator[CommandLine]:
    """`before` is run once, before anything of the command is imported."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"{before}\nfrom tests.support.command_line import answer; answer()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield CommandLine(child)
    finally:
        child.kill()
        child.communicate()


def answer() -> None:
    """The child's part."""
    from polylogue.cli.main import main

    answers = sys.stdout
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = ["polylogue", *asked["arguments"]]
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)
