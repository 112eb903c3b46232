"""The npm packages that clients use, run by Node against a live API."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "packages"
INSTALL_S = 300
RUN_S = 180.0


def installed() -> Path:
    """The folder of the packages, installed as its lock file says."""
    assert all(map(shutil.which, ("node", "npm"))), (
        "Node is missing, and with it the clients that are tried here; install Node 20.19 or newer, with npm."
    )
    lock, stamp = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".locked"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--loglevel=error"], cwd=FOLDER, check=True, capture_output=True, timeout=INSTALL_S
        )
        stamp.touch()
    return FOLDER


async def run_node_tests(*names: str, **environment: str) -> None:
    """Files side by side. Fails with what Node says where one of the tests fails."""
    folder = await asyncio.to_thread(installed)
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
