"""One `run` a data dir, and what a killed one leaves is found and ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from polylogue.cli.home import Home
from polylogue.cli.problems import Problem

SLEEPER = "import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()"


def test_a_second_run_with_the_same_data_is_refused(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    with first.held():
        first.publish("http://127.0.0.1:8123", None)
        with pytest.raises(Problem, match=r"running already with the data in .* at http://127\.0\.0\.1:8123"):
            with second.held():
                pytest.fail("held twice")
    with second.held():
        pass


def test_data_dirs_do_not_disturb_each_other(tmp_path: Path) -> None:
    with Home(tmp_path / "a").held(), Home(tmp_path / "b").held():
        pass


def test_stopping_where_nothing_runs_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not home.stop_run()
    with home.held():
        pass
    assert not home.stop_run()


def test_processes_of_a_killed_run_are_ended_and_those_of_others_live(tmp_path: Path) -> None:
    ours, other = Home(tmp_path / "a"), Home(tmp_path / "ab")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SLEEPER, home.mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for home in (ours, other)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.read(2) == b"up"
        assert ours.clear_leftovers() == 1
        assert children[0].poll() is not None
        assert children[1].poll() is None
        assert ours.clear_leftovers() == 0
    finally:
        for child in children:
            child.kill()
            child.communicate()
