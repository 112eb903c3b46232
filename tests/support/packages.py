"""The npm packages that clients use, run by Node against a live API."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.child import output_of

FOLDER = Path(__file__).parents[1] / "packages"
RUN_S = 180.0


def installed() -> Path:
    """The folder of the packages."""
    assert (FOLDER / "node_modules" / ".locked").exists(), "The npm packages are missing; run: make packages"
    return FOLDER


async def run_node_tests(*names: str, **environment: str) -> None:
    """Files side by side. Fails with what Node says where one of the tests fails."""
    await output_of(
        *("node", "--test", "--test-reporter=spec", *names),
        cwd=installed(),
        environment={"PATH": os.environ["PATH"]} | environment,
        within_s=RUN_S,
    )
