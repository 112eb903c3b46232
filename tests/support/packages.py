"""The npm packages that clients use, run by Node against a live API."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "packages"
RUN_S = 180.0


def installed() -> Path:
    """The folder of the packages."""
    assert (FOLDER / "node_modules" / ".locked").exists(), "The npm packages are missing; run: make packages"
    return FOLDER


async def run_node_tests(*names: str, **environment: str) -> None:
    """Files side by side. Fails with what Node says where one of the tests fails."""
    folder = installed()
    child = await asyncio.create_subprocess_exec(
        "node",
        "--test",
        "--test-reporter=spec",
        *names,
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_S):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, output.decode(errors="replace")
