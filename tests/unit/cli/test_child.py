"""A process that `run` started ends with it, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

CHILD = """
import os, signal, time
from polylogue.cli import child
child.declare()
child.take_environment()
{handler}
print(os.environ["GIVEN"], flush=True)
signal.pause()
"""
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def start(handler: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(handler=handler)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def let_loose(child: subprocess.Popen[str], patience_s: float) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"environment": {"GIVEN": "word"}, "patience_s": patience_s}) + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "word\n"


def part(child: subprocess.Popen[str]) -> int:
    """The pipe closes, as it does when the parent is killed."""
    child.communicate(timeout=20)
    return child.returncode


@pytest.mark.parametrize(("handler", "code"), [("", -signal.SIGTERM), (IGNORE, 1)])
def test_a_child_ends_when_its_parent_is_gone_even_if_it_hears_no_signal(handler: str, code: int) -> None:
    child = start(handler)
    let_loose(child, patience_s=0.2)
    assert part(child) == code


def test_a_child_that_was_never_let_loose_ends_quietly() -> None:
    assert part(start()) == 0
