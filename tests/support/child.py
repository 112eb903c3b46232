"""Runs a program to its end, and ends it where that takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path


async def output_of(*command: str, cwd: Path, environment: Mapping[str, str], within_s: float) -> str:
    """What it prints. Fails with the end of what it said where it does not end well. Raises TimeoutError."""
    child = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within_s):
            told, wrong = (said.decode(errors="replace") for said in await child.communicate())
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, f"{told[-6000:]}\n{wrong[-2000:]}"
    return told
